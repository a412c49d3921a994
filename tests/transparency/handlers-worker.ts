// The Worker of handlers.test.ts.

import { withOpik } from "opik-edge/cloudflare";
import type { ServerConfig } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";
import { dispatcher, ENTRIES, type Fetch, Notes } from "./handlers.js";
import type { Side } from "./sides.js";

interface Env {
  SIDE: Side;
}

const notes = new Notes();
const unhandled: string[] = [];
const reports: string[] = [];
let traces = 0;
const config: ServerConfig = {
  transport: new InMemoryExporter(),
  onError: ({ code, message }) => void reports.push(`${code}: ${message}`),
  sampleRate: () => {
    traces += 1;
    return 1;
  },
};
addEventListener("unhandledrejection", ({ reason }) => void unhandled.push(`rejection, ${reason}`));

type WorkerFetch = (request: Request, env: unknown, ctx: unknown) => unknown;

const worker = (handle: Fetch, given: ServerConfig | undefined): Fetch => {
  const handler = { fetch: handle as never };
  const wrapped = given ? withOpik(handler, () => given) : handler;
  return ((...args: Parameters<WorkerFetch>) => (wrapped.fetch as WorkerFetch)(...args)) as Fetch;
};

/** The entries of handlers.ts, and two that only a Worker has. */
export const WORKER_ENTRIES: typeof ENTRIES = {
  ...ENTRIES,
  worker,
  "worker around hono": (handle, given) => worker(ENTRIES["hono"]!(handle, given), given),
};

let dispatch: Fetch | undefined;

export default {
  async fetch(request: Request, env: Env, ctx: unknown): Promise<unknown> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/-admin/exit") return Response.json({ traces, reports });
    if (pathname === "/-admin/notes") {
      const id = searchParams.get("id")!;
      const awaited = searchParams.get("awaits");
      for (let n = 0; awaited && !notes.has(id, awaited) && n < 100; n += 1)
        await new Promise((turn) => setTimeout(turn, 4));
      for (let n = 0; n < 3; n += 1) await new Promise((turn) => setTimeout(turn, 0));
      return Response.json({ handler: notes.take(id), unhandled: unhandled.splice(0) });
    }
    dispatch ??= dispatcher(env.SIDE, config, notes, WORKER_ENTRIES);
    return (dispatch as WorkerFetch)(request, env, ctx);
  },
};
