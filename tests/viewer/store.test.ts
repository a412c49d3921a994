// The contract of both shelves. Each test runs on rows in memory and on rows in a file.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { v7 as uuid7 } from "uuid";
import { MemoryShelf } from "../../viewer/src/server/memory-shelf.js";
import type { Shelf } from "../../viewer/src/server/shelf.js";
import { openFile } from "../../viewer/src/server/sqlite-shelf.js";
import { type Bounds, Store } from "../../viewer/src/server/store.js";
import { PROGRAMS } from "../support/programs.js";
import { ROOT } from "../support/worker.js";

const at = (ms: number) => new Date(1_800_000_000_000 + ms).toISOString();
const span = (trace_id: string, fields: Record<string, unknown> = {}): Record<string, unknown> & { id: string } => ({
  id: uuid7(),
  trace_id,
  name: "span",
  start_time: at(0),
  end_time: at(10),
  last_updated_at: at(0),
  ...fields,
});
const trace = (id: string, fields: object = {}) => ({
  id,
  name: "trace",
  start_time: at(0),
  end_time: at(100),
  last_updated_at: at(0),
  ...fields,
});

let folder: string;
let files = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "viewer-"));
});
after(() => rm(folder, { recursive: true }));
const newFile = () => join(folder, `${++files}.db`);

const SHELVES: Record<string, () => Shelf | Promise<Shelf>> = {
  memory: () => new MemoryShelf(),
  "a file": () => openFile(newFile()),
};

for (const [where, openShelf] of Object.entries(SHELVES)) {
  describe(`in ${where}`, () => {
    let store: Store;
    let changed: string[][];
    const open = async (bounds?: Bounds) => {
      changed = [];
      store = new Store(await openShelf(), bounds, (ids) => changed.push([...ids]));
    };
    beforeEach(() => open());
    const only = (id: string) => store.summary(id)!;

    test("the newest row wins, whole, in any order", () => {
      const t = uuid7();
      const row = span(t, { input: { a: 1 }, last_updated_at: at(1) });
      store.replace("spans", [row]);
      store.replace("spans", [{ ...row, name: "older", last_updated_at: at(0) }]);
      assert.equal(store.find("spans", row.id)!["name"], "span");
      const { input: _, ...without } = row;
      store.replace("spans", [{ ...without, name: "newer", last_updated_at: at(2) }]);
      assert.deepEqual(store.find("spans", row.id), {
        project_name: "Default Project",
        ...without,
        name: "newer",
        last_updated_at: at(2),
      });
      assert.equal(store.rows("spans").length, 1);
    });

    test("one id in two projects, or below two parents, is two rows of one trace", () => {
      const t = uuid7();
      const row = span(t);
      store.replace("spans", [row, { ...row, project_name: "other" }, { ...row, parent_span_id: uuid7() }]);
      store.replace("spans", [{ ...row, project_name: "OTHER", last_updated_at: at(5) }]);
      assert.equal(store.ofTrace(t).length, 3);
      assert.deepEqual([only(t).spans, only(t).projects], [3, ["Default Project", "OTHER"]]);
    });

    test("ids match in any case", () => {
      const t = uuid7();
      const row = span(t.toUpperCase());
      store.replace("spans", [{ ...row, id: row.id.toUpperCase() }]);
      assert.equal(store.ofTrace(t.toUpperCase())[0]!.row.id, row.id);
      assert.equal(store.find("spans", row.id.toUpperCase())?.trace_id, t);
    });

    test("an update before its row, and after it", () => {
      const t = uuid7();
      const row = span(t);
      store.update("spans", row.id, { trace_id: t, output: { o: 1 } });
      assert.equal(only(t).ms, null);
      store.create("spans", row);
      store.update("spans", row.id, { trace_id: t, tags: ["x"] });
      const { name, output, tags } = store.find("spans", row.id)!;
      assert.deepEqual([name, output, tags], ["span", { o: 1 }, ["x"]]);
      assert.throws(() => store.update("spans", row.id, { trace_id: uuid7() }), /trace_id does not match/);
      assert.throws(() => store.update("spans", row.id, { trace_id: t, parent_span_id: uuid7() }), /parent_span_id/);
    });

    test("a trace is created once, a span silently once", () => {
      const t = uuid7();
      store.create("traces", trace(t));
      assert.throws(() => store.create("traces", trace(t)), /already exists/);
      const row = span(t);
      store.create("spans", row);
      store.create("spans", { ...row, name: "again" });
      assert.equal(store.find("spans", row.id)!["name"], "span");
    });

    test("totals are right after rows that were sent again", () => {
      const t = uuid7();
      const row = span(t, { type: "llm", usage: { total_tokens: 5 }, total_estimated_cost: 0.5 });
      store.replace("spans", [row, span(t, { error_info: { exception_type: "E", traceback: "t" } })]);
      const totals = () => [only(t).spans, only(t).tokens, only(t).cost, only(t).errors];
      assert.deepEqual(totals(), [2, 5, 0.5, 1]);
      store.replace("spans", [{ ...row, usage: { total_tokens: 7 }, last_updated_at: at(1) }]);
      assert.deepEqual(totals(), [2, 7, 0.5, 1]);
      store.replace("traces", [trace(t, { thread_id: "7", end_time: at(250) })]);
      assert.deepEqual([only(t).name, only(t).thread, only(t).ms, only(t).hasRow], ["trace", "7", 250, true]);
    });

    test("a list is newest first, in pages, and filtered", () => {
      const ids = Array.from({ length: 7 }, () => uuid7());
      ids.forEach((id, n) => {
        store.replace("traces", [trace(id, { name: `trace ${n}`, thread_id: n % 2 ? "odd" : "even" })]);
      });
      store.replace("spans", [
        span(ids[2]!, { input: { text: "Where is the NEEDLE?" }, error_info: { exception_type: "E" } }),
      ]);
      const names = (found: { traces: readonly { name: string }[] }) =>
        found.traces.map(({ name }) => Number(name.slice(6)));
      const first = store.list({ limit: 3 });
      assert.deepEqual(names(first), [6, 5, 4]);
      const second = store.list({ limit: 3, before: first.before! });
      assert.deepEqual(names(second), [3, 2, 1]);
      assert.deepEqual(names(store.list({ limit: 3, before: second.before! })), [0]);
      assert.equal(store.list({ limit: 7 }).before, null);
      assert.deepEqual(names(store.list({ text: "needle" })), [2]);
      assert.deepEqual(names(store.list({ hasErrors: true })), [2]);
      assert.deepEqual(names(store.list({ thread: "odd" })), [5, 3, 1]);
      assert.deepEqual(names(store.list({ name: "trace 4" })), [4]);
      assert.deepEqual(names(store.list({ minSpans: 1 })), [2]);
      assert.deepEqual(names(store.list({ project: "default PROJECT", limit: 1 })), [6]);
      assert.deepEqual(names(store.list({ text: "nowhere" })), []);
    });

    test("scores are of rows of their project, and the last of a name counts", () => {
      const t = uuid7();
      store.score("traces", [{ id: t, name: "helpful", value: 0 }]);
      store.replace("traces", [trace(t)]);
      store.score("traces", [
        { id: t, name: "helpful", value: 1 },
        { id: t, name: "x", value: 1, project_name: "other" },
      ]);
      const row = store.find("traces", t)!;
      assert.deepEqual(
        store
          .scoresIn(t)({ entity: "traces", row })
          .map(({ name, value }) => [name, value]),
        [["helpful", 1]],
      );
      assert.equal(store.scores().length, 2);
    });

    test("scores of threads and of traces don't mix, even if a thread's name is a trace's id", () => {
      const t = uuid7();
      const bytes = Buffer.from(t.replaceAll("-", ""), "hex").toString("latin1");
      store.replace("traces", [trace(t)]);
      for (const thread_id of [t, bytes, "T", "t"]) {
        store.score(
          "threads",
          [0, 1].map((value) => ({ thread_id, name: "resolved", value, source: "sdk" })),
        );
        assert.deepEqual(
          store.scoresOfThread(thread_id).map(({ thread_id, value }) => [thread_id, value]),
          [[thread_id, 1]],
        );
      }
      const row = store.find("traces", t)!;
      assert.deepEqual(store.scoresIn(t)({ entity: "traces", row }), []);
      assert.deepEqual(store.scoresOfThread("none"), []);
      assert.equal(store.scores().length, 4);
    });

    test("each request reports its changed traces once", () => {
      const [a, b] = [uuid7(), uuid7()];
      store.replace("spans", [span(a), span(a), span(b)]);
      const row = span(a);
      store.create("spans", row);
      store.score("spans", [{ id: row.id, name: "x", value: 1 }]);
      assert.deepEqual(changed, [[a, b], [a], [a]]);
    });

    test("by number of spans: whole traces go, the first one first", async () => {
      await open({ spans: 10, bytes: 1e9 });
      const ids = Array.from({ length: 4 }, () => uuid7());
      for (const id of ids) {
        store.replace("traces", [trace(id)]);
        store.score("traces", [{ id, name: "x", value: 1 }]);
        store.replace(
          "spans",
          Array.from({ length: 4 }, () => span(id)),
        );
      }
      assert.deepEqual(
        store.list().traces.map(({ id }) => id),
        [ids[3], ids[2]],
      );
      const { traces, spans, dropped } = store.held();
      assert.deepEqual([traces, spans, dropped], [2, 8, 2]);
      assert.equal(store.find("traces", ids[0]!), undefined);
      assert.equal(store.scores().length, 2);
    });

    test("by the bytes of the rows", async () => {
      const big = { input: { text: "x".repeat(10_000) } };
      await open({ spans: 1e9, bytes: 35_000 });
      for (let n = 0; n < 10; n += 1) store.replace("spans", [span(uuid7(), big)]);
      assert.deepEqual([store.held().traces, store.held().dropped], [3, 7]);
      assert.ok(store.held().bytes > 30_000 && store.held().bytes <= 35_000);
      store.clear();
      assert.deepEqual(store.held(), { traces: 0, spans: 0, bytes: 0, dropped: 0 });
      assert.deepEqual([store.rows("spans"), store.list().traces], [[], []]);
    });
  });
}

describe("a file", () => {
  test("is read again, also while another process has it", async () => {
    const file = newFile();
    const t = uuid7();
    const first = new Store(await openFile(file));
    first.replace("traces", [trace(t, { name: "kept" })], "opik-edge · workerd");
    first.score("traces", [{ id: t, name: "x", value: 1 }]);
    const second = new Store(await openFile(file));
    assert.deepEqual([second.summary(t)?.name, second.summary(t)?.senders], ["kept", ["opik-edge · workerd"]]);
    second.replace("spans", [span(t)]);
    assert.equal(first.summary(t)?.spans, 1);
    first.close();
    second.close();
    const third = new Store(await openFile(file));
    assert.deepEqual([third.held().traces, third.held().spans, third.scores().length], [1, 1, 1]);
    third.close();
  });

  test("of a newer version is refused, and left as it is", async () => {
    const file = newFile();
    (await openFile(file)).close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(file);
    database.exec("PRAGMA user_version = 99");
    database.close();
    await assert.rejects(openFile(file), /newer version of the viewer/);
  });

  test("that is none of SQLite's is refused", async () => {
    await assert.rejects(openFile(join(ROOT, "package.json")), /not a database/);
  });

  test("is undone whole where a part of a request fails", async () => {
    const store = new Store(await openFile(newFile()));
    const good = span(uuid7());
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    assert.throws(() => store.replace("spans", [good, span(uuid7(), { input: circle })]), /circular/i);
    assert.deepEqual([store.rows("spans").length, store.held().spans], [0, 0]);
    store.replace("spans", [good]);
    assert.equal(store.held().spans, 1);
    store.close();
  });

  test("keeps its rows on a full disk, answers with the cause, and goes on when there is room", async (t) => {
    // A disk of 2 MB, which is mounted in a namespace of this process alone.
    const disk = await mkdtemp(join(folder, "disk-"));
    const mount = `mount -t tmpfs -o size=2m none "$0"`;
    const inNamespace = (command: string, ...args: string[]) =>
      promisify(execFile)("unshare", ["-rm", "sh", "-c", `${mount} && ${command}`, disk, ...args]);
    try {
      await inNamespace("true");
    } catch {
      t.skip("this machine lets nobody mount a small disk");
      return;
    }
    const program = join(import.meta.dirname, "full-disk.ts");
    const { stdout } = await inNamespace('exec "$@" "$0"', process.execPath, "--import", "tsx", program);
    const { kept, spans, found, refused, otlp, fix, afterwards } = JSON.parse(stdout.trim());
    assert.ok(kept > 3 && kept < 20, `${kept}`);
    assert.deepEqual([spans, found, refused, otlp, afterwards], [kept, kept, [503, 503, 503], 503, 204]);
    assert.match(fix, /Make room/);
  });

  test("on a Node without SQLite is refused in a sentence", (t) => {
    const [program] = PROGRAMS["Node 20"] ?? [];
    if (!program) return t.skip("there is no Node 20 here");
    const code = `import(${JSON.stringify(join(ROOT, "viewer/dist/server.js"))}).then((s) => s.startCollector({ file: "x.db" }))
      .catch((error) => console.log(error.message))`;
    const { stdout } = spawnSync(program, ["-e", code], { encoding: "utf8", cwd: folder });
    assert.match(
      stdout,
      /^a file needs Node 22\.13 or newer, and this is v20\..*: leave out the file to keep rows in memory\n$/,
    );
  });
});
