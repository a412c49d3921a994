// A traced handler that is called very often, and an account of what it recorded. Nothing leaves it: its transport keeps
// of each row the id alone, in memory that is there from the beginning. Its answer is made of chunks that their owners use again.

import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { timers } from "./timers.js"; // which the program has imported before

/** Rows of one request: the trace, its root span, and three more. */
export const ROWS = 5;

/** What each request is answered. */
export const ANSWER = ": ping\n\nhello, world\n: ping\n\n";

const encoder = new TextEncoder();
/** A chunk that is sent again and again. */
const PING = encoder.encode(": ping\n\n");
/** Two chunks are parts of one buffer. */
const GREETING = encoder.encode("hello, world");

/** From Node's shared pool of buffers, where there is one. */
const pooled: (text: string) => Uint8Array =
  (globalThis as { Buffer?: { from(text: string): Uint8Array } }).Buffer?.from ?? ((text) => encoder.encode(text));

function answer(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of [PING, GREETING.subarray(0, 6), GREETING.subarray(6), pooled("\n"), PING])
        controller.enqueue(chunk);
      controller.close();
    },
  });
}

/** What a run came to. */
export interface Soaked {
  /** Rows that arrived. */
  readonly rows: number;
  /** Ids among them that were there twice. */
  readonly repeated: number;
  /** Timers that were set and neither ran nor were cleared. */
  readonly timers: number;
  readonly errors: string[];
}

/** The handler, with room for so many requests, and what they came to. */
export function prepare(requests: number) {
  const ids = new BigUint64Array(requests * ROWS);
  let rows = 0;
  const decoder = new TextDecoder();
  const transport = {
    async fetch(_url: string, { body }: { body: Uint8Array }): Promise<Response> {
      // The last 16 hex digits of an id tell it from others as well as all of it does.
      for (const [, a, b] of decoder.decode(body).matchAll(/[[,]\{"id":"[^"]{19}(\w{4})-(\w{12})"/g)) {
        ids[rows++] = BigInt(`0x${a}${b}`);
      }
      return new Response(null, { status: 204 });
    },
  };
  const errors: string[] = [];
  const { fetch } = withOpik(
    {
      async fetch(request: Request, _env: object, _ctx: object): Promise<Response> {
        await span({ name: "retrieve", type: "tool", input: { url: request.url } }, async () => {});
        await span({ name: "llm", type: "llm", usage: { total_tokens: 3 } }, async (llm) => {
          llm.span({ name: "rank" }).end();
          llm.update({ output: { text: "an answer of some length ".repeat(20) } });
        });
        return new Response(answer());
      },
    },
    () => ({ transport, onError: ({ message }) => errors.push(message) }),
  );
  const result = (): Soaked => {
    const sorted = ids.slice(0, rows).sort();
    const repeated = sorted.filter((id, index) => id === sorted[index - 1]).length;
    return { rows, repeated, timers: timers.size, errors: errors.slice(0, 10) };
  };
  return { fetch, result };
}
