// A traced handler for many requests, and counts of the rows it recorded. Nothing leaves the process: its transport keeps
// only the id of each row, in memory allocated at the start. Its response consists of chunks whose owners reuse them.

import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { timers } from "./timers.js"; // imported by the program before this module

/** Rows of one request: the trace, its root span, and three child spans. */
export const ROWS = 5;

/** The body of every response. */
export const ANSWER = ": ping\n\nhello, world\n: ping\n\n";

const encoder = new TextEncoder();
/** A chunk that is sent repeatedly. */
const PING = encoder.encode(": ping\n\n");
/** Two chunks are slices of this buffer. */
const GREETING = encoder.encode("hello, world");

/** Encodes into Node's shared pool of buffers, where that exists. */
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

/** The counts of a run. */
export interface Soaked {
  /** Rows that arrived. */
  readonly rows: number;
  /** Ids that arrived twice. */
  readonly repeated: number;
  /** Timers that were set and have neither run nor been cleared. */
  readonly timers: number;
  readonly errors: string[];
}

/** The handler, with room for `requests` requests, and a function that returns its counts. */
export function prepare(requests: number) {
  const ids = new BigUint64Array(requests * ROWS);
  let rows = 0;
  const decoder = new TextDecoder();
  const transport = {
    async fetch(_url: string, { body }: { body: Uint8Array }): Promise<Response> {
      // The last 16 hex digits of an id identify it.
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
