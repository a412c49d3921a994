// The main job with the official SDKs: a client (Python, TypeScript) calls the example Worker in workerd, which calls a
// Python server. Everything has to arrive as one tree.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Opik } from "opik-edge";
import { opikDoctor } from "opik-edge/doctor";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import type { RefusalEntry } from "../../viewer/src/api.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { startExample } from "../support/example.js";
import { FASTAPI, PYTHON, type PythonProgram, type PythonServer, QUIET, startPython } from "../support/python.js";
import { recordSuite, versionOf } from "../support/versions.js";
import { ROOT, type RunningWorker } from "../support/worker.js";

const run = promisify(execFile);
const HERE = join(ROOT, "tests/interop");

const SERVERS: Record<string, PythonProgram> = {
  "FastAPI under uvicorn": FASTAPI,
  "Flask under default gunicorn": (port) => ["gunicorn", "server_flask:app", "--bind", `127.0.0.1:${port}`],
};

const CLIENTS: Record<string, [string, string[]]> = {
  "the Python SDK": [PYTHON, ["client.py"]],
  "the TypeScript SDK": [process.execPath, ["--import", "tsx", "client-npm.ts"]],
};

// The pinned versions.
const locked = readFileSync(join(HERE, "requirements.txt"), "utf8");
for (const [, name, version] of locked.matchAll(/^(opik|fastapi|flask|gunicorn|uvicorn)==([\d.]+)/gim)) {
  recordSuite("interop", `${name} (PyPI)`, version as string);
}
recordSuite("interop", "opik (npm)", versionOf("opik"));

let collector: Collector;
let upstream: Upstream;
before(async () => {
  collector = await startCollector();
  upstream = await startUpstream();
});
after(() => closeAll(upstream, collector));

for (const [server, program] of Object.entries(SERVERS)) {
  for (const mode of ["track", "context"] as const) {
    describe(`${server}, continued with ${mode === "track" ? "@track" : "distributed_headers"}`, () => {
      let python: PythonServer;
      let worker: RunningWorker;
      before(async () => {
        python = await startPython(collector.url, { program, mode });
        worker = await startExample(collector.url, upstream, { bindings: { RETRIEVER_URL: python.url } });
      });
      after(() => closeAll(worker, python));

      for (const [name, client] of Object.entries(CLIENTS)) {
        test(`called by ${name}: one trace row, every span under its parent`, async () => {
          const { trace_id, status, answer } = await call(client, `${worker.url}/chat`);
          assert.equal(status, 200);
          assert.match(answer, /\[DONE\]/);
          await collector.until(
            () => spansOf(trace_id).length >= 9 && collector.traces().some((t) => t.id === trace_id),
          );
          assert.equal(collector.traces().filter(({ id }) => id === trace_id).length, 1);
          assert.equal(collector.traces().find(({ id }) => id === trace_id)!["name"], "ask");
          const { host } = new URL(python.url);
          assert.deepEqual(shape(trace_id), [
            "ask",
            "ask > POST /chat",
            "ask > POST /chat > chat demo-model",
            "ask > POST /chat > chat demo-model",
            "ask > POST /chat > retrieve",
            `ask > POST /chat > retrieve > POST ${host}/retrieve`,
            `ask > POST /chat > retrieve > POST ${host}/retrieve > search`,
            `ask > POST /chat > retrieve > POST ${host}/retrieve > search > embed`,
            "ask > POST /chat > retrieve > rank",
          ]);
          assert.ok(!JSON.stringify(spansOf(trace_id)).includes("opik_edge_"), "nothing was left open or broken off");
          const llm = spansOf(trace_id).filter(({ type }) => type === "llm");
          assert.match(JSON.stringify(llm.map(({ output }) => output)), /"A trace is a tree of spans\."/);
          assert.deepEqual(
            llm.map(({ usage }) => (usage as Record<string, number>)["total_tokens"]),
            [51, 51],
          );
          assert.ok(
            collector.traces().length === collector.spans().filter((s) => s["name"] === "ask").length,
            "no other trace",
          );
        });
      }
    });
  }
}

test("default gunicorn loses the trace when the official SDK calls it alone, and the doctor says why", async () => {
  const python = await startPython(collector.url, { program: SERVERS["Flask under default gunicorn"]! });
  try {
    const { trace_id } = await call(CLIENTS["the Python SDK"]!, `${python.url}/retrieve`);
    await collector.until(() => spansOf(trace_id).length >= 1);
    assert.deepEqual(shape(trace_id), ["ask"]);
    const findings = await opikDoctor({ config: { disabled: true }, url: `${python.url}/echo` });
    const { level, found, fix } = findings.find(({ check }) => check === "headers")!;
    assert.equal(level, "note");
    assert.match(found, /opik_trace_id is dropped on the way, opik-trace-id arrives/);
    assert.match(fix!, /^nothing for opik-edge, Flask and Django/);
    assert.doesNotMatch(fix!, /header-map/);
  } finally {
    await python.close();
  }
});

test("our scores and the Python SDK's are the same to Opik, except for the reason", async () => {
  const trace_id = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
  const opik = new Opik({ url: collector.url, projectName: "scored" });
  opik.score({ traceId: trace_id, name: "helpful", value: 1, reason: "by us" });
  opik.score({ threadId: "cart-81", name: "helpful", value: 1, reason: "by us" });
  await opik.flush();
  const ours = collector.scores();
  await run(PYTHON, ["score.py"], {
    cwd: HERE,
    env: { ...process.env, ...QUIET, OPIK_URL_OVERRIDE: collector.url, TRACE_ID: trace_id, THREAD_ID: "cart-81" },
  });
  assert.deepEqual(
    ours.map(({ entity }) => entity),
    ["traces", "threads"],
  );
  assert.deepEqual(
    collector.scores(),
    ours.map((score) => ({ ...score, reason: "by the SDK" })),
    "it has replaced ours",
  );
});

test("the collector (with Opik's schema) and the Python SDK's models agree about valid rows", async () => {
  const span = { id: "01a20612-0bcc-794c-8aba-f81361854650", trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc" };
  const whole = { ...span, name: "x", type: "llm", start_time: "2026-11-23T01:42:55.616Z", source: "sdk" };
  const invalid: StoredRow[] = [
    { start_time: undefined },
    { usage: { a: 1.5 } },
    { error_info: { exception_type: "E" } },
    { total_estimated_cost: "much" },
    { tags: "no list" },
  ].map((change) => ({ ...whole, ...change }) as unknown as StoredRow);
  const ours = collector.requests
    .filter(({ headers, status }) => status === 204 && !("x-fern-language" in headers))
    .flatMap(({ path, body }) => {
      const entity = path.includes("/spans/") ? "span" : "trace";
      const kind = path.endsWith("-scores") ? (path.includes("/threads/") ? "thread_score" : "score") : entity;
      const { scores, [`${entity}s`]: rows = scores } = JSON.parse(body) as Record<string, object[]>;
      return rows!.map((row) => ({ kind, row }));
    });
  assert.ok(ours.length > 20, `${ours.length} rows of ours were accepted`);
  const lines = [...ours, ...invalid.map((row) => ({ kind: "span", row }))].map((item) => JSON.stringify(item));
  const child = execFile(PYTHON, ["validate_rows.py"], { cwd: HERE, maxBuffer: 1e8 });
  let output = "";
  child.stdout!.on("data", (text) => {
    output += text;
  });
  child.stdin!.end(lines.join("\n"));
  await once(child, "close");
  const verdicts = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { ok: boolean; error?: string });
  assert.equal(verdicts.length, lines.length);
  assert.deepEqual(
    verdicts.slice(0, ours.length).filter(({ ok }) => !ok),
    [],
  );
  assert.deepEqual(
    verdicts.slice(ours.length).filter(({ ok }) => ok),
    [],
  );
  for (const row of invalid) {
    const body = JSON.stringify({ spans: [row] });
    const response = await fetch(`${collector.url}/v1/private/spans/batch`, { method: "POST", body });
    assert.equal(response.status, 422, body);
  }
});

test("opik.configure finds the viewer, with /api or without, and traces arrive then", async () => {
  for (const url of [collector.url, collector.url.replace(/api$/, "")]) {
    const home = await mkdtemp(join(tmpdir(), "opik-"));
    const before = collector.traces().length;
    try {
      await run(PYTHON, ["configure.py", url], {
        cwd: HERE,
        env: { ...process.env, ...QUIET, HOME: home, OPIK_URL_OVERRIDE: "" },
      });
      const written = await readFile(join(home, ".opik.config"), "utf8");
      assert.ok(written.includes(`url_override = ${collector.url}`), written);
      assert.deepEqual([collector.traces().length - before, collector.traces().at(-1)!["name"]], [1, "configured"]);
    } finally {
      await rm(home, { recursive: true });
    }
  }
  const { refusals } = (await (await fetch(`${collector.url}/viewer/refusals`)).json()) as { refusals: RefusalEntry[] };
  assert.deepEqual(
    refusals.filter(({ sender }) => sender.includes("python")),
    [],
  );
});

function spansOf(traceId: string): StoredRow[] {
  return collector.spans().filter(({ trace_id }) => trace_id === traceId);
}

/** Every span of a trace as the names from the root down to it, sorted. */
function shape(traceId: string): string[] {
  const spans = new Map(spansOf(traceId).map((span) => [span.id, span]));
  const path = (span: StoredRow): string => {
    const parent = span.parent_span_id;
    if (parent === undefined) return String(span["name"]);
    return `${spans.has(parent) ? path(spans.get(parent)!) : "(missing)"} > ${span["name"]}`;
  };
  return [...spans.values()].map(path).sort();
}

async function call([program, args]: [string, string[]], url: string) {
  const { stdout } = await run(program, args, {
    cwd: HERE,
    env: { ...process.env, ...QUIET, OPIK_URL_OVERRIDE: collector.url, TARGET_URL: url, STREAM: "1" },
  });
  const line = stdout.split("\n").find((text) => text.startsWith('{"trace_id"'));
  return JSON.parse(line ?? "null") as { trace_id: string; status: number; answer: string };
}
