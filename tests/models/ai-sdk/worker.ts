// All cases in a Worker, as one invocation. Spans still open at its end are written as unfinished.

import { withOpik } from "opik-edge/cloudflare";
import type { Job, Run } from "./case.js";
import { runAll, settingsOf } from "./harness.js";

/** Runs the cases, and resolves once the recorded rows have been delivered. */
async function runInInvocation(job: Job): Promise<Run[]> {
  let runs: Run[] = [];
  const work: unknown[] = [];
  const fetch = async (): Promise<Response> => {
    runs = await runAll(job);
    return new Response();
  };
  const handler = withOpik({ fetch }, () => settingsOf(job));
  const waitUntil = (promise: Promise<unknown>): void => void work.push(promise);
  const call = handler.fetch as (request: Request, env: object, ctx: object) => Promise<Response>;
  await (await call(new Request("http://localhost/"), {}, { waitUntil })).text();
  for (const promise of work) await promise;
  return runs;
}

export default {
  async fetch(request: Request): Promise<Response> {
    return Response.json(await runInInvocation(await request.json()));
  },
};
