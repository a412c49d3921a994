// One contender in an isolate of workerd: each request is a command.

import { type Command, obey } from "./commands.js";
import type { Contender } from "./contender.js";
import { openSink } from "./sink.js";

// First, so that a tracer that keeps a reference keeps this one.
const sink = openSink();

/** A Worker around the contender that `load` gives. It is loaded by the first request: some of them need what only that has. */
export function workerOf(load: () => Promise<{ contender: Contender }>) {
  return {
    async fetch(request: Request): Promise<Response> {
      try {
        return Response.json(await obey(load, sink, (await request.json()) as Command));
      } catch (error) {
        return new Response((error as Error).stack ?? String(error), { status: 500 });
      }
    },
  };
}
