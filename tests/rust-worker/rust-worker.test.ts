// The example Worker in Rust, built by worker-build, in workerd, with a real collector.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import type { Faults } from "../support/faults.js";
import { ROOT, type RunningWorker, startModules, wranglerOptions } from "../support/worker.js";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const KEYS = ["opik-key-1", "llm-key-1"];

describe("the Rust Worker in workerd", () => {
  let collector: Collector;
  let upstream: Upstream;
  let worker: RunningWorker;
  /** Fault of the collector. */
  let fault: Faults | undefined;
  let log = "";
  const watchers = new Watchers();

  before(async () => {
    collector = await startCollector({ fault: (request) => (typeof fault === "function" ? fault(request) : fault) });
    upstream = await startUpstream();
    const built = join(ROOT, "examples/rust-worker/build");
    worker = await startModules(
      [
        { type: "ESModule", path: "/index.js", contents: await readFile(join(built, "index.js"), "utf8") },
        { type: "CompiledWasm", path: "/index_bg.wasm", contents: await readFile(join(built, "index_bg.wasm")) },
      ],
      {
        ...(await wranglerOptions("examples/rust-worker")),
        bindings: {
          LLM_URL: `${upstream.url}/v1`,
          LLM_MODEL: "demo-model",
          LLM_API_KEY: "llm-key-1",
          OPIK_URL_OVERRIDE: `${collector.url}/`,
          OPIK_API_KEY: "opik-key-1",
          OPIK_WORKSPACE: "team",
          OPIK_PROJECT_NAME: "edge",
        },
        onLog: (text) => {
          log += text;
          watchers.notify();
        },
      },
    );
  });
  after(() => closeAll(worker, upstream, collector));
  beforeEach(() => {
    fault = undefined;
    log = "";
  });

  /** Asks a question, as a caller with `headers`. */
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${worker.url}/ask`, { method: "POST", body, headers });
  const ask = (message: string, headers: Record<string, string> = {}) => post(JSON.stringify({ message }), headers);
  /** Waits for the root of the request with this message. */
  const rootFor = async (message: string): Promise<StoredRow> => {
    const root = () =>
      collector.spans().find(({ name, input }) => name === "POST /ask" && (input as Asked)?.message === message);
    await collector.until(() => root() !== undefined);
    return root()!;
  };
  const childrenOf = ({ id }: StoredRow) => collector.spans().filter(({ parent_span_id }) => parent_span_id === id);
  const logged = (what: RegExp) =>
    watchers.until(
      () => what.test(log),
      () => `${what} in ${log}`,
    );

  for (const spelling of ["opik_trace_id opik_parent_span_id", "Opik-Trace-Id Opik-Parent-Span-Id"]) {
    test(`joins the trace of a caller, by ${spelling}, and hands it on`, async () => {
      const [traceName, parentName] = spelling.split(" ") as [string, string];
      const response = await ask(spelling, { [traceName]: TRACE, [parentName]: PARENT });
      assert.deepEqual([response.status, await response.text()], [200, "A trace is a tree of spans."]);

      const root = await rootFor(spelling);
      assert.deepEqual([root.trace_id, root.parent_span_id, root["project_name"]], [TRACE, PARENT, "edge"]);
      assert.deepEqual(root["output"], { output: "A trace is a tree of spans." });
      const [llm, ...others] = childrenOf(root);
      assert.deepEqual(others, []);
      assert.deepEqual([llm!["name"], llm!["type"], llm!["model"], llm!.trace_id], ["llm", "llm", "demo-model", TRACE]);
      assert.deepEqual(llm!["output"], { role: "assistant", content: "A trace is a tree of spans." });
      assert.deepEqual(llm!["usage"], {
        prompt_tokens: 42,
        completion_tokens: 9,
        total_tokens: 51,
        "prompt_tokens_details.cached_tokens": 0,
      });
      assert.ok(Date.parse(llm!["end_time"] as string) >= Date.parse(llm!["start_time"] as string));

      const { headers } = upstream.seen.at(-1)!;
      for (const name of ["opik_trace_id", "opik-trace-id"]) assert.equal(headers[name], TRACE, name);
      for (const name of ["opik_parent_span_id", "opik-parent-span-id"]) assert.equal(headers[name], llm!.id, name);
      assert.equal(collector.traces().length, 0, "the trace's row is the caller's");
    });
  }

  test("without a caller it begins a trace, whose row is like its root", async () => {
    await ask("begin a trace");
    const root = await rootFor("begin a trace");
    await collector.until(() => collector.traces().length === 1);
    const trace = collector.traces()[0]!;
    assert.deepEqual([root.trace_id, root.parent_span_id], [trace.id, undefined]);
    for (const field of ["name", "input", "output", "start_time", "end_time", "project_name"]) {
      assert.deepEqual(trace[field], root[field], field);
    }
    assert.equal(childrenOf(root)[0]!.trace_id, trace.id);
  });

  test("a garbled header begins a trace and is logged", async () => {
    await ask("garbled", { opik_trace_id: "garbage" });
    assert.notEqual((await rootFor("garbled")).trace_id, TRACE);
    await logged(/trace headers: trace_not_uuid/);
  });

  test("a model that fails: the error is on every span it passed", async () => {
    const response = await ask("please fail", { opik_trace_id: TRACE });
    assert.equal(response.status, 502);
    const root = await rootFor("please fail");
    for (const row of [root, childrenOf(root)[0]!]) {
      const error = row["error_info"] as { exception_type: string; message: string };
      assert.deepEqual([error.exception_type, error.message], ["worker::Error", "500 from the model"]);
    }
  });

  for (const [body, input, message] of [
    ["{", undefined, /JSON/],
    ['{"massage":["?",null,1.5]}', { massage: ["?", null, 1.5] }, /missing field `message`/],
  ] as const) {
    test(`an invalid question is recorded as it came: ${body}`, async () => {
      const before = collector.spans().length;
      assert.equal((await post(body)).status, 502);
      await collector.until(() => collector.spans().length > before);
      const root = collector.spans().at(-1)!;
      assert.deepEqual([root["name"], root["input"]], ["POST /ask", input]);
      assert.match((root["error_info"] as { message: string }).message, message);
    });
  }

  test("rows that could not be sent are sent again", async () => {
    fault = ({ ofPath }) => {
      tries ??= ofPath;
      return ofPath - tries < 2 ? { status: 503, headers: { "retry-after": "0" } } : undefined;
    };
    let tries: number | undefined;
    await ask("again", { opik_trace_id: TRACE });
    assert.equal(childrenOf(await rootFor("again")).length, 1);
  });

  test("of rows that are refused together, the good rows are kept", async () => {
    fault = ({ body }) => (body.includes('"type":"llm"') ? { status: 400 } : undefined);
    await ask("refused", { opik_trace_id: TRACE });
    assert.deepEqual(childrenOf(await rootFor("refused")), []);
    await logged(/1 row is lost: rejected/);
  });

  test("a refused key ends delivery, and the answer is the usual one", async () => {
    fault = { status: 401 };
    const before = collector.requests.length;
    const response = await ask("unauthorized");
    assert.equal(response.status, 200);
    await logged(/3 rows are lost: unauthorized/);
    assert.equal(collector.requests.length, before + 2, "the trace's and the spans', which are under way at once");
  });

  test("the keys are in the headers, and in no row", () => {
    assert.ok(collector.requests.length > 0);
    for (const { headers, body } of collector.requests) {
      assert.deepEqual([headers["authorization"], headers["comet-workspace"]], ["opik-key-1", "team"]);
      assert.ok(!KEYS.some((key) => body.includes(key)));
    }
  });
});

interface Asked {
  readonly message: string;
}
