// Puts messages of any length and form into a queue, traced and untraced, and lists the messages that come out of it.

import { tracedQueue, withOpik } from "opik-edge/cloudflare";

/** The messages to send. */
export interface Sent {
  readonly isTraced: boolean;
  /** Length of each message's body in characters, and the character that fills it. */
  readonly lengths: readonly number[];
  readonly of: string;
  readonly contentType: "json" | "v8" | "text" | "bytes";
  readonly isBatch: boolean;
}

/** A received message: its length, and `true` if it has a context. */
export interface Received {
  readonly length: number;
  readonly hasContext: boolean;
}

interface Env {
  JOBS: {
    send(body: unknown, options?: object): Promise<unknown>;
    sendBatch(messages: Iterable<object>): Promise<unknown>;
  };
}

const received: Received[] = [];

function bodyOf({ contentType, of }: Sent, length: number): unknown {
  if (contentType === "text") return of.repeat(length);
  if (contentType === "bytes") return new TextEncoder().encode(of.repeat(length));
  return { text: of.repeat(length) };
}

function lengthOf(body: unknown): number {
  if (typeof body === "string") return body.length;
  return body instanceof ArrayBuffer ? body.byteLength : (body as { text: string }).text.length;
}

export default withOpik(
  {
    async fetch(request: Request, env: Env): Promise<Response> {
      if (request.method === "GET") return Response.json(received.splice(0));
      const sent: Sent = await request.json();
      const queue = sent.isTraced ? (tracedQueue(env.JOBS) as Env["JOBS"]) : env.JOBS;
      const bodies = sent.lengths.map((length) => bodyOf(sent, length));
      const { contentType } = sent;
      try {
        if (sent.isBatch) await queue.sendBatch(new Set(bodies.map((body) => ({ body, contentType }))));
        else await queue.send(bodies[0], { contentType });
        return Response.json(null);
      } catch (error) {
        return Response.json(`${error}`);
      }
    },
    async queue(batch: { readonly messages: readonly { readonly body: unknown }[] }): Promise<void> {
      for (const { body } of batch.messages) {
        received.push({
          length: lengthOf(body),
          hasContext: typeof body === "object" && "opik-edge" in (body as object),
        });
      }
    },
  },
  () => ({ url: "http://127.0.0.1:9/api", onError: () => {} }),
);
