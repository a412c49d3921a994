// Spans and their twins in Cloudflare's own tracing, in workerd. A Worker with a `tailStream` handler receives the native spans.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { NATIVE_TAIL, type NativeSpan, NativeSpans } from "../support/native-spans.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { type RunningWorker, startWorker, type WorkerOptions } from "../support/worker.js";

/** Without a flag and with this date, a Worker has no AsyncLocalStorage. */
const NO_FLAGS: WorkerOptions = { compatibilityFlags: ["rpc"], compatibilityDate: "2023-01-01" };
const NODE: WorkerOptions = { compatibilityFlags: ["nodejs_compat"], compatibilityDate: "2026-04-01" };

interface Setup {
  readonly worker: RunningWorker;
  readonly collector: Collector;
  readonly upstream: TestUpstream;
  /** Lines of the Worker's console, without the tail's. */
  readonly log: string[];
  readonly natives: NativeSpans;
  get(path: string): Promise<string>;
  /** The rows with these names, once they have arrived. */
  rows(...names: string[]): Promise<StoredRow[]>;
  /** The native span of `row`, once it has ended. */
  twin(row: StoredRow): Promise<NativeSpan>;
  /** Resolves once this many invocations have ended at the tail. */
  ended(howMany: number): Promise<void>;
}

async function setUp(
  options: WorkerOptions,
  { native = "on", sampleRate = "1" }: { native?: string; sampleRate?: string } = {},
): Promise<Setup> {
  const collector = await startCollector();
  const upstream = await startTestUpstream();
  const watchers = new Watchers();
  const log: string[] = [];
  const natives = new NativeSpans();
  const starting = startWorker("tests/worker/native-worker.ts", {
    ...(options.workerd !== "old" && { streamingTail: NATIVE_TAIL }),
    ...options,
    bindings: {
      OPIK_URL_OVERRIDE: collector.url,
      UPSTREAM: upstream.url,
      NATIVE: native,
      SAMPLE_RATE: sampleRate,
    },
    miniflare: {
      name: "main",
      unsafeTriggerHandlers: true,
      durableObjects: { ROOM: { className: "Room", useSQLite: true } },
      queueProducers: { QUEUE: "jobs" },
      queueConsumers: { jobs: { maxBatchTimeout: 0 } },
      serviceBindings: { ENTRY: { name: "main", entrypoint: "Entry" } },
    },
    onLog: (line) => {
      if (!natives.read(line)) log.push(line);
      watchers.notify();
    },
  });
  const worker = await starting.catch(async (error) => {
    await closeAll(upstream, collector);
    throw error;
  });
  return {
    worker,
    collector,
    upstream,
    log,
    natives,
    get: async (path) => (await fetch(`${worker.url}${path}`)).text(),
    rows: async (...names) => {
      const found = () => names.map((name) => collector.spans().find((row) => row["name"] === name));
      await collector.until(() => found().every((row) => row));
      return found() as StoredRow[];
    },
    twin: async (row) => {
      await watchers.until(
        () => natives.twinOf(row.id)?.isClosed === true,
        () => `the native span of ${row["name"]}`,
      );
      return natives.twinOf(row.id)!;
    },
    ended: (howMany) =>
      watchers.until(
        () => natives.ended >= howMany,
        () => `the end of ${howMany} invocations`,
      ),
  };
}

/** Accepts `undefined`, because the set-up may have failed. */
const tearDown = (t: Setup | undefined): Promise<void> => closeAll(t?.worker, t?.upstream, t?.collector);

const FLAGS: readonly (readonly [string, WorkerOptions])[] = [
  ["with nodejs_compat", NODE],
  ["with nodejs_als", { ...NODE, compatibilityFlags: ["nodejs_als"] }],
  ["without a flag", NO_FLAGS],
];
for (const [flags, options] of FLAGS) {
  describe(`native: true, ${flags}`, () => {
    let t: Setup;
    before(async () => {
      t = await setUp(options);
    });
    after(() => tearDown(t));

    test("our spans and the native ones make the same tree, also in requests that overlap", async () => {
      const names = Array.from({ length: 24 }, (_, index) => `request ${index}`);
      await Promise.all(names.map((name) => t.get(`/nested?name=${name}`)));
      for (const name of names) {
        const rows = await t.rows(`${name} outer`, `${name} inner`, `${name} second`);
        const [outer, inner, second] = rows;
        const root = t.collector.spans().find(({ id }) => id === outer!.parent_span_id)!;
        assert.equal(root["name"], "GET /nested");
        assert.equal(inner!.parent_span_id, outer!.id);
        assert.equal(second!.parent_span_id, outer!.id);
        const call = t.collector.spans().find(({ parent_span_id }) => parent_span_id === inner!.id)!;
        assert.match(`${call["name"]}`, /^GET .*\/json$/);
        const ofRoot = await t.twin(root);
        const [ofOuter, ofInner, ofSecond] = await Promise.all(rows.map(t.twin));
        const ofCall = await t.twin(call);
        assert.equal(ofRoot.name, "(fetch)", "the root's native span is the invocation's own");
        assert.deepEqual(
          [ofOuter!, ofInner!, ofSecond!, ofCall].map((native) => [native.name, native.parentId]),
          [
            [`${name} outer`, ofRoot.id],
            [`${name} inner`, ofOuter!.id],
            [`${name} second`, ofOuter!.id],
            [call["name"], ofInner!.id],
          ],
        );
        assert.deepEqual(ofOuter!.attributes, { "opik.trace_id": root.trace_id, "opik.span_id": outer!.id });
        const platforms = t.natives.all.filter(({ parentId }) => parentId === ofCall.id);
        assert.deepEqual(
          platforms.map((span) => span.name),
          ["fetch"],
          "the platform's span of the call is under ours",
        );
      }
      const ids = t.natives.all.flatMap(({ attributes }) => attributes["opik.span_id"] ?? []);
      assert.deepEqual(ids.length, new Set(ids).size, "no span has two");
    });

    test("parallel branches, streams, timers and late work", async () => {
      assert.equal(await t.get("/parallel"), "done");
      for (const name of ["a", "b", "c"]) {
        const [branch, child] = await t.rows(name, `${name} child`);
        assert.equal(child!.parent_span_id, branch!.id);
        assert.equal((await t.twin(child!)).parentId, (await t.twin(branch!)).id);
      }
      for (const [path, above, below] of [
        ["/stream", "streamed", "pull 1"],
        ["/timer", "sets a timer", "in a timer"],
        ["/late", "answers early", "afterwards"],
      ] as const) {
        await t.get(path);
        const [parent, child] = await t.rows(above, below);
        assert.equal(child!.trace_id, parent!.trace_id, path);
        assert.equal(child!.parent_span_id, parent!.id, path);
        await t.twin(child!);
      }
    });

    test("a host's own native spans nest in ours, and ours in them", async () => {
      const answers = await Promise.all(
        ["x", "y", "z"].map(async (name) => JSON.parse(await t.get(`/theirs?name=${name}`))),
      );
      for (const [index, name] of ["x", "y", "z"].entries()) {
        const rows = await t.rows(`${name} ours`, `${name} in theirs`, `${name} deepest`, `${name} in sync`);
        const [ours, inTheirs, deepest, inSync] = rows;
        const { root, seen } = answers[index];
        assert.deepEqual(seen, [ours!.id]);
        // A native span does not name its parent: after an `await` in one of the host's, only AsyncLocalStorage knows ours.
        assert.equal(inTheirs!.parent_span_id, options === NO_FLAGS ? root : ours!.id);
        assert.equal(deepest!.parent_span_id, inTheirs!.id);
        assert.equal(inSync!.parent_span_id, options === NO_FLAGS ? root : ours!.id);
        const twins = await Promise.all(rows.map(t.twin));
        const [theirs, sync] = [`${name} theirs`, `${name} sync`].map(
          (title) => t.natives.all.find((native) => native.name === title)!,
        );
        assert.equal(theirs!.parentId, twins[0]!.id);
        assert.equal(twins[1]!.parentId, theirs!.id);
        assert.equal(twins[2]!.parentId, twins[1]!.id);
        assert.equal(sync!.parentId, twins[0]!.id);
        assert.equal(twins[3]!.parentId, sync!.id);
      }
    });

    test("calls of an object that overlap are not mixed inside the host's own native spans", async () => {
      for (const { root, seen } of JSON.parse(await t.get("/rooms"))) {
        assert.equal(seen, options === NO_FLAGS ? null : root);
      }
    });

    test("an error is the host's own, and the status of both spans", async () => {
      assert.equal(await t.get("/error"), "true");
      const [row] = await t.rows("fails");
      assert.equal((row!["error_info"] as { message: string }).message, "of the host");
      assert.equal((await t.twin(row!)).status, "error");
    });

    test("model, provider and tokens are attributes, and names are masked", async () => {
      await t.get("/model");
      const [plain, ask] = await t.rows("chat", "ask [redacted]");
      const { name, attributes, status } = await t.twin(ask!);
      assert.equal(name, "ask [redacted]");
      assert.equal(status, undefined);
      assert.deepEqual(attributes, {
        "opik.trace_id": ask!.trace_id,
        "opik.span_id": ask!.id,
        "gen_ai.request.model": "gpt-4.1",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
      });
      assert.deepEqual(Object.keys((await t.twin(plain!)).attributes), ["opik.trace_id", "opik.span_id"]);
    });

    test("a long name is cut at a character, in the native span alone", async () => {
      const names = ["ascii ".repeat(20), `a${"é".repeat(60)}`, `abc${"😀".repeat(20)}`, "ok"];
      await t.get(`/names?${names.map((name) => `name=${encodeURIComponent(name)}`).join("&")}`);
      const rows = await t.rows(...names);
      const nameless = t.collector.spans().filter((row) => row["name"] === undefined);
      const twins = await Promise.all([...rows, ...nameless].map(t.twin));
      assert.deepEqual(
        twins.map(({ name }) => name),
        [names[0]!.slice(0, 64), `a${"é".repeat(31)}`, `abc${"😀".repeat(15)}`, "ok", "span"],
      );
    });

    test("a span that is renamed renames its native span", async () => {
      await t.get("/renamed");
      const [row] = await t.rows("after [redacted]");
      assert.equal((await t.twin(row!)).name, "after [redacted]");
    });

    test("a batch is left out if all its messages are recorded in their senders' traces", async () => {
      await t.get("/send");
      for (const name of ["m1", "m2"]) {
        const [inner] = await t.rows(`${name} inner`);
        const message = await rootOf(t, inner!);
        assert.equal((await t.twin(inner!)).parentId, (await t.twin(message)).id);
      }
      assert.ok(!t.collector.spans().some((row) => `${row["name"]}`.startsWith("queue")));
    });

    test("a message of a hibernating WebSocket begins in no native span", async () => {
      await t.get("/socket");
      const [outer, inner] = await t.rows("socket outer", "socket inner");
      const root = await rootOf(t, outer!);
      assert.equal(root["name"], "webSocketMessage");
      assert.equal(inner!.parent_span_id, outer!.id);
      const twins = await Promise.all([root, outer!, inner!].map(t.twin));
      assert.equal(twins[0]!.name, "webSocketMessage");
      assert.equal(twins[1]!.parentId, twins[0]!.id);
      assert.equal(twins[2]!.parentId, twins[1]!.id);
    });

    test("a child of an open span is under that span's native one, whichever is active", async () => {
      await t.get("/explicit");
      const [parent, child] = await t.rows("parent", "child of an open span");
      assert.equal(child!.parent_span_id, parent!.id);
      assert.equal((await t.twin(child!)).parentId, (await t.twin(parent!)).id);
    });

    test("entrypoints, objects and cron triggers", async () => {
      const { miniflare } = t.worker;
      await Promise.all([t.get("/entry"), t.get("/room?name=r1"), t.get("/room?name=r2")]);
      await (await miniflare.getWorker("main")).scheduled({ cron: "0 * * * *" });
      for (const [name, above] of [
        ["entry", "Entry.work"],
        ["r1", "Room.visit"],
        ["r2", "Room.visit"],
        ["cron", "scheduled 0 * * * *"],
      ] as const) {
        const [outer, inner] = await t.rows(`${name} outer`, `${name} inner`);
        const root = await rootOf(t, outer!);
        assert.equal(root["name"], above);
        assert.equal(inner!.parent_span_id, outer!.id, name);
        const [ofRoot, ofOuter, ofInner] = await Promise.all([root, outer!, inner!].map(t.twin));
        assert.equal(ofOuter!.parentId, ofRoot!.id);
        assert.equal(ofInner!.parentId, ofOuter!.id);
      }
    });

    test("a span that is used in another request harms nobody", async () => {
      await t.get("/keep");
      assert.equal(await t.get("/misuse"), "ran");
      assert.deepEqual(JSON.parse(await t.get("/platform")), { isSame: true, isOther: true });
    });

    test("nothing is reported of missing context", () => {
      assert.deepEqual(
        t.log.filter((line) => line.includes("no_async_context")),
        [],
      );
    });
  });
}

/** Runs `use` with a new Worker. */
async function withWorker(
  options: WorkerOptions,
  how: { native?: string; sampleRate?: string },
  use: (t: Setup) => Promise<void>,
): Promise<void> {
  const t = await setUp(options, how);
  try {
    await use(t);
  } finally {
    await tearDown(t);
  }
}

/** The spans of `/nested` are in one trace, and each is under its parent. */
async function assertNested(t: Setup, name: string): Promise<void> {
  const [outer, inner] = await t.rows(`${name} outer`, `${name} inner`);
  assert.equal((await rootOf(t, outer!))["name"], "GET /nested");
  assert.equal(inner!.parent_span_id, outer!.id);
}

const NO_TAIL = { streamingTail: undefined } as unknown as WorkerOptions;

for (const [flags, options] of FLAGS.toSpliced(1, 1)) {
  test(`off, ${flags}: the platform's spans are alone, without our attributes`, () =>
    withWorker(options, { native: "off" }, async (t) => {
      await t.get("/nested?name=off");
      await t.get("/model");
      await t.collector.until(() => t.collector.spans().some(({ name }) => name === "GET /model"));
      await t.ended(2);
      const natives = t.natives.all;
      assert.deepEqual([...new Set(natives.map(({ name }) => name))].sort(), ["(fetch)", "fetch"]);
      assert.ok(natives.every(({ attributes }) => !Object.keys(attributes).some((key) => /opik|gen_ai/.test(key))));
    }));

  test(`a request that Cloudflare does not record, ${flags}: spans nest all the same`, () =>
    withWorker({ ...options, ...NO_TAIL }, {}, async (t) => {
      await Promise.all(["a", "b", "c"].map((name) => t.get(`/nested?name=${name}`)));
      for (const name of ["a", "b", "c"]) await assertNested(t, name);
      assert.deepEqual(t.log, []);
    }));

  test(`a trace that is not sampled, ${flags}: there is no native span`, () =>
    withWorker(options, { sampleRate: "0" }, async (t) => {
      await t.get("/nested?name=unsampled");
      assert.equal(JSON.parse(await t.get("/theirs?name=x")).root, "");
      await t.ended(2);
      const names = t.natives.all.map(({ name }) => name);
      assert.deepEqual([...new Set(names)].sort(), ["(fetch)", "fetch", "x sync", "x theirs"]);
      assert.deepEqual(t.collector.spans(), []);
      assert.deepEqual(t.log, []);
    }));

  test(`further traces, not all sampled, ${flags}: the request's span is current after them`, () =>
    withWorker(options, { sampleRate: "0.5" }, async (t) => {
      const answers: { root: string; seen: boolean[] }[] = [];
      do answers.push(JSON.parse(await t.get("/other-trace")));
      while (!answers.some(({ root }) => root));
      for (const { seen } of answers) assert.ok(seen.every(Boolean));
    }));

  test(`an older workerd without this API, ${flags}: spans as without the setting`, () =>
    withWorker({ ...options, workerd: "old" }, {}, async (t) => {
      await t.get("/nested?name=old");
      const [root] = await t.rows("GET /nested");
      const lost = t.log.filter((line) => line.includes("no_async_context"));
      assert.equal(lost.length, options === NO_FLAGS ? 1 : 0);
      if (options !== NO_FLAGS) await assertNested(t, "old");
      assert.ok(root);
    }));
}

test("a value of another type is refused once, and the handler runs untraced", () =>
  withWorker(NODE, { native: "nonsense" }, async (t) => {
    assert.equal(await t.get("/names?name=x"), "done");
    assert.equal(await t.get("/names?name=x"), "done");
    assert.equal(t.log.length, 1);
    assert.match(t.log[0]!, /invalid_config: tracing is off: native: expected a boolean, got string/);
  }));

test("without AsyncLocalStorage and without native, the message names both remedies", () =>
  withWorker(NO_FLAGS, { native: "off" }, async (t) => {
    await t.get("/names?name=x");
    const [line] = t.log.filter((text) => text.includes("no_async_context"));
    assert.match(line!, /nodejs_als.*native: true/);
  }));

async function rootOf(t: Setup, row: StoredRow): Promise<StoredRow> {
  const found = () => t.collector.spans().find(({ id }) => id === row.parent_span_id);
  await t.collector.until(() => found() !== undefined);
  return found()!;
}
