// The responses of every server in these tests, with their calls and spans. node-app.ts adapts them to Node.

import { fetch, getTrackContext, type Span } from "opik-edge";

/** The response to a path. `root` is the request's span on platforms without a current span. */
export async function answer(path: string, echo: string, root?: Span): Promise<Response> {
  switch (path) {
    case "/call":
      return Response.json(await call(echo, root));
    case "/stream":
      return new Response(streamOf(lines(root ?? current())), { headers: { "content-type": "text/event-stream" } });
    case "/endless":
      return new Response(streamOf(endless()));
    case "/throws":
      throw new TypeError("from the handler");
    default:
      return new Response("short and stout", { status: 418 });
  }
}

/** Headers that reach a service called from a span below the root. */
export async function call(echo: string, root: Span | undefined = current()): Promise<unknown> {
  return root?.span({ name: "work" }, async (work) => {
    await pause();
    const response = await (hasContext(work) ? fetch(echo) : work.fetch(echo));
    const { headers } = (await response.json()) as { headers: Record<string, string> };
    return { trace: headers["opik_trace_id"], parent: headers["opik-parent-span-id"] };
  });
}

/** Lines of a stream that opens a late span. */
export async function* lines(root: Span | undefined): AsyncGenerator<string> {
  yield "one\n";
  await pause();
  root?.span({ name: "late" }, () => {});
  yield "two\n";
}

/** A stream that ends only when its reader leaves. */
export async function* endless(): AsyncGenerator<string> {
  for (;;) {
    yield "more\n";
    await pause();
  }
}

function streamOf(texts: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await texts.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => void texts.return(undefined),
  });
}

/** The current span. */
export function current(): Span | undefined {
  return getTrackContext()?.span;
}

function hasContext(work: Span): boolean {
  return current() === work;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}
