// A queue's batch is one trace, named after the queue. It has no trace when the traces of the messages' senders cover
// everything. The tests call the handler as the platform does; tests/worker/triggers.test.ts does the same in workerd.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fetch, getDistributedTraceHeaders, getTrackContext, instrumentFetch, score, span } from "opik-edge";
import { deliverQueue, queueTransport, tracedQueue, traceMessage, withOpik } from "opik-edge/cloudflare";
import { InMemoryExporter, type Tree, treesOf } from "opik-edge/testing";

const CALLERS = [
  {
    opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
    opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
  },
  {
    opik_trace_id: "01a20612-0b82-7cc1-922c-2da813a3fcfc",
    opik_parent_span_id: "01a20612-0bcd-794c-8aba-f81361854650",
  },
];
const ROWS = JSON.stringify({ spans: [{ id: "01a20612-0bcc-794c-8aba-f81361854650" }] });

/** Kinds of message in a batch: with a sender's context, without a context, or with rows for Opik. */
type Kind = "carrying" | "bare" | "rows";

interface Message {
  readonly id: string;
  readonly body: unknown;
  readonly attempts: number;
  ack(): void;
  retry(): void;
}

interface Batch {
  readonly queue: string;
  readonly messages: readonly Message[];
  ackAll(): void;
  retryAll(): void;
}

interface Env {
  readonly JOBS: { send(body: unknown): Promise<void> };
}

type Context = { waitUntil(promise: Promise<unknown>): void };
type Handle = (batch: Batch, ctx: Context, env: Env) => unknown;

function batchOf(kinds: readonly Kind[]): Batch {
  const messages = kinds.map((kind, at) => ({
    id: `m${at}`,
    attempts: 1,
    body: kind === "rows" ? ROWS : { job: at, ...(kind === "carrying" && { "opik-edge": CALLERS[at % 2] }) },
    ack() {},
    retry() {},
  }));
  return { queue: "jobs", messages, ackAll() {}, retryAll() {} };
}

/** A trace as a string of names, with children in brackets. A trace that began elsewhere is called `(sender)`. */
const drawn = ({ row, spans }: Tree): string => {
  const { name = "(sender)" } = row;
  return spans.length > 0 ? `${name}[${spans.map(drawn).join(" ")}]` : name;
};

/** The traces that are recorded while `handle` handles a batch, and `true` if it fails. */
async function recorded(
  kinds: readonly Kind[],
  handle: Handle,
): Promise<{ traces: string[]; failed: boolean; trees: Tree[] }> {
  const exporter = new InMemoryExporter();
  const waited: Promise<unknown>[] = [];
  const ctx: Context = { waitUntil: (promise) => void waited.push(promise) };
  const env: Env = { JOBS: { async send() {} } };
  const worker = withOpik(
    { queue: async (batch: Batch, given: Env, context: Context) => void (await handle(batch, context, given)) },
    () => ({ transport: exporter, onError: () => {} }),
  );
  let failed = false;
  await worker.queue(batchOf(kinds), env, ctx).catch(() => {
    failed = true;
  });
  for (let at = 0; at < waited.length; at += 1) await waited[at];
  const trees = treesOf(exporter);
  return { traces: trees.map(drawn).sort(), failed, trees };
}

const each = async (batch: Batch, fn: (body: unknown, at: number) => unknown = () => {}): Promise<void> => {
  for (const [at, message] of batch.messages.entries()) {
    await traceMessage(message, async (body) => {
      await null;
      await fn(body, at);
      message.ack();
    });
  }
};
const exporterOf = () => ({ transport: new InMemoryExporter() });
const BATCH = "queue jobs[queue jobs]";
const SENT = "(sender)[message]";

const CASES: Record<string, readonly [kinds: readonly Kind[], handle: Handle, traces: readonly string[]]> = {
  // No message has a context: one trace, with everything in it.
  "no messages": [[], (batch) => each(batch), [BATCH]],
  "messages without contexts": [["bare", "bare"], (batch) => each(batch), ["queue jobs[queue jobs[message message]]"]],
  "messages without a trace": [["bare"], (batch) => batch.ackAll(), [BATCH]],
  // Every message has a context: no trace, unless something else is recorded.
  "a message with a context": [["carrying"], (batch) => each(batch), [SENT]],
  "messages with contexts": [["carrying", "carrying"], (batch) => each(batch), [SENT, SENT]],
  "the same, and ackAll": [["carrying"], (batch) => each(batch).then(() => batch.ackAll()), [SENT]],
  "the same, and retryAll": [["carrying"], (batch) => each(batch).then(() => batch.retryAll()), [SENT]],
  "the same, at once": [
    ["carrying", "carrying"],
    (batch) => Promise.all(batch.messages.map((message) => traceMessage(message, async () => {}))),
    [SENT, SENT],
  ],
  "the same, in the background": [["carrying"], (batch, ctx) => ctx.waitUntil(each(batch)), [SENT]],
  "spans of the messages' own": [
    ["carrying"],
    (batch) => each(batch, () => span({ name: "work" }, () => {})),
    ["(sender)[message[work]]"],
  ],
  "a message that fails, and is retried": [
    ["carrying", "carrying"],
    async (batch) => {
      await each({ ...batch, messages: batch.messages.slice(0, 1) }, () => assert.fail("one")).catch(() =>
        batch.retryAll(),
      );
      await each({ ...batch, messages: batch.messages.slice(1) });
    },
    [SENT, SENT],
  ],
  "one message traced twice, the other not at all": [
    ["carrying", "carrying"],
    async ({ messages: [first] }) => {
      for (let n = 0; n < 2; n += 1) await traceMessage(first!, async () => {});
    },
    ["(sender)[message message]", BATCH],
  ],
  "contexts that nobody joins": [["carrying"], (batch) => batch.ackAll(), [BATCH]],
  "a batch that fails": [["carrying"], (batch) => each(batch, () => assert.fail("all")), [SENT, BATCH]],
  "a batch that fails after its messages": [
    ["carrying"],
    (batch) => each(batch).then(() => assert.fail("late")),
    [SENT, BATCH],
  ],
  "a span of the batch's": [
    ["carrying"],
    async (batch) => {
      await each(batch);
      span({ name: "count" }, () => {});
    },
    [SENT, "queue jobs[queue jobs[count]]"],
  ],
  "a span of the batch's that is still open": [
    ["carrying"],
    async (batch, ctx) => {
      await each(batch);
      ctx.waitUntil(span({ name: "count" }, () => new Promise((resolve) => setTimeout(resolve))));
    },
    [SENT, "queue jobs[queue jobs[count]]"],
  ],
  "a span that begins when the batch is over": [
    ["carrying"],
    async (batch, ctx) => {
      await each(batch);
      ctx.waitUntil(new Promise((resolve) => setTimeout(resolve)).then(() => span({ name: "late" }, () => {})));
    },
    [SENT, "late[late]"],
  ],
  "fields of the batch's": [
    ["carrying"],
    async (batch) => {
      await each(batch);
      getTrackContext()?.span.update({ output: { done: true } });
    },
    [SENT, BATCH],
  ],
  "ids that are handed on": [
    ["carrying"],
    async (batch) => {
      await each(batch);
      assert.ok(getDistributedTraceHeaders());
    },
    [SENT, BATCH],
  ],
  "a message that is sent on": [
    ["carrying"],
    async (batch, _, env) => {
      await each(batch);
      await tracedQueue(env.JOBS as { send(body: never): Promise<void> }).send({ next: true } as never);
    },
    [SENT, BATCH],
  ],
  "a traced call": [
    ["carrying"],
    async (batch) => {
      await each(batch);
      await fetch("https://never.test/", { opik: { via: { fetch: async () => new Response() } } });
    },
    [SENT, "queue jobs[queue jobs[GET never.test/]]"],
  ],
  "a score of something else": [
    ["carrying"],
    async (batch) => {
      await each(batch);
      score({ traceId: CALLERS[0]!.opik_trace_id, name: "helpful", value: 1 });
    },
    [SENT],
  ],
  // Some messages have a context: the others are under the batch.
  "some with a context": [["carrying", "bare"], (batch) => each(batch), [SENT, "queue jobs[queue jobs[message]]"]],
  "some of them traced": [
    ["carrying", "carrying", "bare"],
    (batch) => each({ ...batch, messages: batch.messages.slice(0, 2) }),
    [SENT, SENT, BATCH],
  ],
  // Delivering rows to Opik records no further rows.
  "rows that are delivered": [["rows", "rows"], (batch) => deliverQueue(batch, exporterOf()), []],
  "rows of which some are delivered": [
    ["rows", "rows"],
    (batch) => deliverQueue({ messages: batch.messages.slice(1) }, exporterOf()),
    [BATCH],
  ],
  "rows that a disabled consumer puts back": [["rows"], (batch) => deliverQueue(batch, { disabled: true }), []],
  "rows that cannot be delivered": [
    ["rows"],
    (batch) =>
      deliverQueue(batch, { transport: { fetch: async () => new Response(null, { status: 401 }) }, onError() {} }),
    [],
  ],
  "rows and a wrong configuration": [["rows"], (batch) => deliverQueue(batch, { url: "nowhere" }), [BATCH]],
  "rows that are delivered while calls are traced": [
    ["rows"],
    async (batch) => {
      const end = instrumentFetch();
      await deliverQueue(batch, exporterOf()).finally(end);
    },
    [],
  ],
  "rows, and messages with contexts": [
    ["rows", "carrying"],
    async ({ messages: [rows, ...messages], ...batch }) => {
      await deliverQueue({ messages: [rows!] }, exporterOf());
      await each({ ...batch, messages });
    },
    [SENT],
  ],
  "rows in a span of the host's": [
    ["rows"],
    (batch) => span({ name: "deliver" }, () => deliverQueue(batch, exporterOf())),
    ["queue jobs[queue jobs[deliver]]"],
  ],
};

for (const [name, [kinds, handle, traces]] of Object.entries(CASES)) {
  test(`a batch: ${name}`, async () => {
    assert.deepEqual((await recorded(kinds, handle)).traces, [...traces].sort());
  });
}

test("a batch that fails records the failure in its own trace", async () => {
  const { failed, trees } = await recorded(["carrying"], () => assert.fail("all of it"));
  const error = trees[0]!.spans[0]!.row["error_info"] as { readonly message: string };
  assert.deepEqual([failed, error.message], [true, "all of it"]);
});

test("a Worker that delivers its own rows by a queue comes to rest", async () => {
  const exporter = new InMemoryExporter();
  const waiting: string[] = [];
  const rows = { send: async (text: string) => void waiting.push(text) };
  const waited: Promise<unknown>[] = [];
  const ctx: Context = { waitUntil: (promise) => void waited.push(promise) };
  const worker = withOpik(
    {
      fetch: async (_request: Request, _env: object, _ctx: Context) => new Response(),
      queue: (batch: Batch, _env: object, _ctx: Context) => deliverQueue(batch, { transport: exporter }),
    },
    () => ({ transport: queueTransport(rows) }),
  );
  await worker.fetch(new Request("https://host.test/"), {}, ctx);
  let batches = 0;
  for (let at = 0; at < waited.length || waiting.length > 0; at += 1) {
    await waited[at];
    if (waiting.length === 0) continue;
    batches += 1;
    assert.ok(batches < 10, "it goes on for ever");
    const messages = waiting.splice(0).map((body, n) => ({ id: `${n}`, body, attempts: 1, ack() {}, retry() {} }));
    await worker.queue({ queue: "rows", messages, ackAll() {}, retryAll() {} }, {}, ctx);
  }
  assert.deepEqual(treesOf(exporter).map(drawn), ["GET /[GET /]"]);
});
