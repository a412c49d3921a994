// A Worker with streamed responses. It asks a control server for each chunk, which gives the chunk when it likes, and
// tells that server what the producer of the response hears.

import { withOpik } from "opik-edge/cloudflare";

interface Env {
  CONTROL: string;
  OPIK_URL_OVERRIDE: string;
  /** `traced`, or `plain`: without tracing, but kept alive for as long as tracing would. */
  SIDE: "traced" | "plain";
}

type Tell = (what: string) => Promise<string>;

/** Producers of the response, by path. */
const PRODUCERS: Record<string, (tell: Tell, control: string) => BodyInit | Promise<Response>> = {
  "/pull": (tell) => pulled(tell, {}, { highWaterMark: 0 }),
  "/ahead": (tell) => pulled(tell, {}),
  "/bytes": (tell) => pulled(tell, { type: "bytes" }),
  "/through": (tell) => pulled(tell, {}).pipeThrough(new TransformStream()),
  "/written": (tell) => written(tell),
  "/proxied": (_tell, control) => fetch(`${control}/upstream`),
};

function pulled(tell: Tell, source: object, strategy?: object): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      ...source,
      async pull(controller: ReadableStreamDefaultController) {
        controller.enqueue(new TextEncoder().encode(await tell("chunk")));
      },
      cancel: (reason: unknown) => tell(`cancelled: ${reason}`),
    } as unknown as UnderlyingDefaultSource,
    strategy,
  );
}

function written(tell: Tell): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  // Both promises report, because chance decides if a write is under way when the client leaves.
  const stopped = (reason: unknown) => tell(`stopped: ${reason}`);
  writer.closed.catch(stopped);
  const write = async (): Promise<void> => {
    for (;;) await writer.write(new TextEncoder().encode(await tell("chunk")));
  };
  write().catch(stopped);
  return readable;
}

const handler = {
  async fetch(request: Request, { CONTROL }: Env): Promise<Response> {
    const tell: Tell = async (what) => (await fetch(`${CONTROL}/${encodeURIComponent(what)}`)).text();
    const produced = await PRODUCERS[new URL(request.url).pathname]!(tell, CONTROL);
    return produced instanceof Response ? produced : new Response(produced);
  },
};
const traced = withOpik(handler);

export default {
  fetch(request: Request, env: Env, ctx: { waitUntil(promise: Promise<unknown>): void }) {
    if (env.SIDE === "traced") return (traced.fetch as (...args: unknown[]) => Promise<Response>)(request, env, ctx);
    ctx.waitUntil(new Promise((resolve) => setTimeout(resolve, 30_000)));
    return handler.fetch(request, env);
  },
};
