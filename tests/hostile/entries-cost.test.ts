// Cost of the public entries at their limits: a byte or member of a large input costs no more than one of a small input.
// The relay, which strangers call, is in relay-cost.test.ts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { contextServerTiming, corsHeaders, handlePreflight, Opik, type OpikConfig } from "opik-edge";
import { deliverQueue, traceMessage, withOpik } from "opik-edge/cloudflare";
import { mintToken } from "opik-edge/relay";
import { countBlocks } from "./blocks.js";

const KB = 1024;
/** The smaller size is large enough that fixed costs do not matter. */
const SIZES = [64 * KB, KB * KB] as const;
/** Largest allowed cost of the larger size, relative to the smaller, which is a sixteenth of it. */
const MOST_TIMES = 16 * 1.1;

const ID = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const ORIGIN = "https://app.example.com";
const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const PATTERNS = [/sk-[\w-]+/, /(?<![\w.+-])[\w.+-]+@[\w.-]+/];

const text = (bytes: number): string => "a".repeat(bytes);
/** Members of about eight bytes each, `bytes` in total. */
const members = (bytes: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: bytes / 8 }, (_, n) => [`m${n}`, n]));
const items = (bytes: number): string[] => Array.from({ length: bytes / 8 }, (_, n) => `${n}`);

function client(config: OpikConfig = {}): Opik {
  const transport = { fetch: async () => new Response(null, { status: 204 }) };
  return new Opik({ url: "http://localhost/api", background: false, transport, onError: () => {}, ...config });
}

/** Records a span with `fields`, and sends it. */
async function record(fields: object, config?: OpikConfig): Promise<void> {
  const opik = client(config);
  opik.span({ name: "n", ...fields }).end();
  await opik.flush();
}

class Instance {
  constructor(values: object) {
    Object.assign(this, values);
  }
}

/** Each entry is called with a value of about `bytes` bytes. The name says which argument it is. */
const ENTRIES: Record<string, (bytes: number) => unknown> = {
  "corsHeaders: an origin": (bytes) =>
    corsHeaders({ headers: new Headers({ origin: `https://${text(bytes)}.test` }) } as Request, {
      origins: [ORIGIN, "*.test"],
    }),
  "handlePreflight: headers that are asked for": (bytes) =>
    handlePreflight(
      new Request(ORIGIN, {
        method: "OPTIONS",
        headers: {
          origin: ORIGIN,
          "access-control-request-method": "POST",
          "access-control-request-headers": text(bytes),
        },
      }),
      { origins: [ORIGIN] },
    ),
  "mintToken: a conversation": (bytes) =>
    mintToken({ secret: SECRET, audience: ORIGIN, projectName: "p", threadId: text(bytes) }).catch(() => {}),
  "a span under headers: their value": (bytes) =>
    record({ parent: { opik_trace_id: `${ID},`.repeat(bytes / 37), opik_parent_span_id: ID } }),
  "a span under headers: their number": (bytes) => record({ parent: members(bytes) }),
  "a span under headers: invalid ids": (bytes) =>
    record({ parent: { opik_trace_id: text(bytes), opik_parent_span_id: ",".repeat(bytes) } }),
  "a field: a text": (bytes) => record({ input: text(bytes) }),
  "a field: members": (bytes) => record({ input: members(bytes) }),
  "a field: items": (bytes) => record({ input: items(bytes) }),
  "a field: a Map and a Set": (bytes) =>
    record({ input: new Map(Object.entries(members(bytes / 2))), output: new Set(items(bytes / 2)) }),
  "a field: an instance": (bytes) => record({ input: new Instance(members(bytes)) }),
  "a field: binary data": (bytes) => record({ input: new Uint8Array(bytes) }),
  "a field: one object again and again": (bytes) => record({ input: Array(bytes / 8).fill({ a: 1 }) }),
  "a field: getters that throw": (bytes) =>
    record({
      input: Array.from({ length: bytes / 64 }, () => ({
        get broken() {
          throw new Error("no");
        },
      })),
    }),
  "metadata: members": (bytes) => record({ metadata: members(bytes) }),
  "tags: their number": (bytes) => record({ tags: items(bytes) }),
  "usage: its names": (bytes) => record({ usage: members(bytes) }),
  "an error: its message": (bytes) => record({ error: new Error(`https://a.test/?q `.repeat(bytes / 18)) }),
  "an error: its causes": (bytes) => {
    let error = new Error("first");
    for (let n = 0; n < bytes / 1024; n += 1) error = new Error("next", { cause: error });
    return record({ error });
  },
  "redaction: members": (bytes) => record({ input: members(bytes) }, { redact: { keys: ["password", /token$/i] } }),
  "redaction: a text": (bytes) => record({ input: "sk-a@".repeat(bytes / 5) }, { redact: { patterns: PATTERNS } }),
  "a score: its reason": async (bytes) => {
    const opik = client();
    opik.score({ traceId: ID, name: "n", value: 1, reason: text(bytes) });
    await opik.flush();
  },
  "a tracked function: its arguments": async (bytes) => {
    const opik = client();
    opik.track((...args: unknown[]) => args.length, { name: "f" })(members(bytes / 2), items(bytes / 2));
    await opik.flush();
  },
  "a request: its URL": (bytes) =>
    withOpik({ fetch: (_: Request, __: object, ___: object) => new Response() }, () => ({
      sampleRate: 1,
      disabled: false,
      url: "http://localhost/api",
      transport: { fetch: async () => new Response(null, { status: 204 }) },
    })).fetch(new Request(`http://host.test/${text(bytes / 2)}?${text(bytes / 2)}`), {}, { waitUntil() {} }),
  "a call: its URL": (bytes) =>
    client({ propagateTo: ["https://api.test", "*.example.com"] })
      .fetch(`https://x.example.com/${text(bytes)}`, { opik: { via: { fetch: async () => new Response() } } })
      .then((response) => response.text()),
  "contextServerTiming of a span": (bytes) => contextServerTiming(client().span({ name: text(bytes) })),
  "a queue's message": (bytes) => traceMessage({ id: "m", attempts: 1, body: members(bytes) }, () => {}),
  "deliverQueue: rows": (bytes) => {
    const rows = Array.from({ length: bytes / 128 }, (_, n) => ({
      id: ID.slice(0, -6) + n.toString(16).padStart(6, "0"),
      start_time: "2026-06-01T12:00:00Z",
    }));
    const message = { body: JSON.stringify({ traces: rows }), ack() {}, retry() {} };
    const transport = { fetch: async () => new Response(null, { status: 204 }) };
    return deliverQueue({ messages: [message] }, { url: "http://localhost/api", transport });
  },
};

describe("blocks of JavaScript", () => {
  const blocks = countBlocks();
  for (const [name, call] of Object.entries(ENTRIES)) {
    test(name, async (t) => {
      await call(KB); // work that happens once is not counted
      const steps: number[] = [];
      for (const bytes of SIZES) steps.push(await blocks.of(() => call(bytes)));
      t.diagnostic(`${steps.join(", ")} blocks for ${SIZES.join(", ")} bytes`);
      const [small, large] = steps as [number, number];
      assert.ok(large <= MOST_TIMES * small, `${large / small} times as many`);
    });
  }
});
