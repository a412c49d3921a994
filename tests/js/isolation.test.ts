// Guarantees for the process around the package, each tested in a new process. Importing has no effect, a blocked or broken
// WebAssembly does no harm, two copies agree, and variables configure.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { startCollector } from "../support/collector.js";
import { ROOT } from "../support/worker.js";
import outgoing from "../vectors/outgoing.json" with { type: "json" };

const run = promisify(execFile);
const IDS = `const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc", PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const HEADERS = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };`;

/** Runs a module in a new Node process and returns its last output, as JSON. */
async function inNode(code: string, env: Record<string, string> = {}): Promise<unknown> {
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"]!, ...env },
  });
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

test("importing reads no clock and no randomness, sets no timer, calls nobody and creates no instance", async () => {
  const seen = await inNode(`
    const seen = [];
    const trap = (object, name) => Object.defineProperty(object, name, { get() { seen.push(name); } });
    trap(globalThis, "crypto"); trap(Date, "now"); trap(performance, "now");
    globalThis.fetch = () => seen.push("fetch");
    globalThis.setTimeout = () => seen.push("setTimeout");
    trap(WebAssembly, "Module"); trap(WebAssembly, "Instance"); trap(Math, "random");
    await import("opik-edge");
    await import("opik-edge/cloudflare");
    const { llm } = await import("opik-edge/llm");
    llm();
    console.log(JSON.stringify(seen));`);
  assert.deepEqual(seen, []);
});

test("a flush ends under a test runner's fake timers too, whatever the backend does", async () => {
  const kept = await inNode(`
    const { mock } = await import("node:test");
    const { Opik } = await import("opik-edge");
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
    const kept = [];
    for (const fetch of [async () => new Response(null, { status: 503 }), () => new Promise(() => {})]) {
      const opik = new Opik({ url: "http://127.0.0.1:9/api", background: false, onError: () => {}, transport: { fetch } });
      opik.trace().end();
      kept.push((await opik.flush({ timeoutMs: 50 })).kept);
    }
    console.log(JSON.stringify(kept));
    process.exit();`);
  assert.deepEqual(kept, [1, 1]);
});

test("where WebAssembly is blocked, spans still hand the caller's ids on, and one message reports it", async () => {
  const result = await inNode(`${IDS}
    WebAssembly.Module = class { constructor() { throw new WebAssembly.CompileError("blocked by CSP"); } };
    const { Opik } = await import("opik-edge");
    const errors = [];
    const opik = new Opik({ background: false, url: "http://127.0.0.1:9/api", onError: (error) => errors.push(error.code) });
    const joined = opik.span({ parent: HEADERS }, (span) => span.span({}, (child) => child.headers({ spelling: "underscore" })));
    const begun = opik.span({}, (span) => { span.update({ input: 1 }); return span.headers(); });
    const hostile = opik.span({ parent: { opik_trace_id: "x", opik_parent_span_id: PARENT } }).headers();
    console.log(JSON.stringify({ joined, begun, hostile, errors, report: await opik.flush() }));`);
  assert.deepEqual(result, {
    joined: {
      opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
      opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
    },
    begun: {},
    hostile: {},
    errors: ["wasm_blocked"],
    report: { sent: 0, kept: 0, open: 0, retried: 0, checkpoints: 0, dropped: {}, requests: 0, bytes: 0, errors: [] },
  });
});

test("where WebAssembly is blocked, one message for the whole process names the remedy", async () => {
  const told = (worker: boolean) =>
    inNode(`
    ${worker ? "globalThis.WebSocketPair = class {};" : ""}
    WebAssembly.Module = class { constructor() { throw new WebAssembly.CompileError("Wasm code generation disallowed by embedder"); } };
    const { Opik } = await import("opik-edge");
    const { llm } = await import("opik-edge/llm");
    const { withOpik } = await import("opik-edge/server");
    const errors = [];
    const onError = ({ code, message }) => errors.push(code + ": " + message);
    const settings = { url: "http://127.0.0.1:9/api", onError, observe: [llm()], transport: { fetch: () => { throw new Error(); } } };
    const call = async (client) => {
      const url = "data:application/json,/v1/chat/completions";
      await client.fetch(url, { method: "POST", body: '{"messages":[]}' }).catch(() => {});
    };
    const clients = [new Opik({ ...settings, background: false }), new Opik({ ...settings, background: false })];
    for (const client of clients) await client.span({ name: "job" }, () => call(client));
    for (let i = 0; i < 2; i += 1) await withOpik(() => new Response("ok"), () => settings)(new Request("http://localhost/"));
    console.log(JSON.stringify(errors));
    process.exit();`) as Promise<string[]>;

  const inPage = await told(false);
  assert.equal(inPage.length, 1, inPage.join("\n"));
  assert.match(inPage[0]!, /^wasm_blocked: .*'wasm-unsafe-eval'/);

  const inWorker = await told(true);
  assert.equal(inWorker.length, 1, inWorker.join("\n"));
  assert.match(inWorker[0]!, /^wasm_blocked: /);
  assert.doesNotMatch(inWorker[0]!, /Content-Security-Policy|unsafe-eval/);
  for (const line of [
    'serverExternalPackages: ["opik-edge"]',
    "next build --webpack",
    "experimental: { wasm: true }",
    'external: ["opik-edge"]',
  ])
    assert.ok(inWorker[0]!.includes(line), inWorker[0]);
});

test("when the memory is full, rows are refused and counted, and the kept rows are sent", async () => {
  const collector = await startCollector();
  try {
    const result = await inNode(`
      import { Opik } from "opik-edge";
      const codes = new Set();
      const url = ${JSON.stringify(collector.url)};
      const limits = { fieldBytes: 3 << 20, spanBytes: 3 << 20, traceBytes: 1e9 };
      const make = () => new Opik({ url, limits, background: false, onError: (error) => codes.add(error.code) });
      // An instance has at most 64 MB; twelve buffers of 7 MB are more.
      const clients = Array.from({ length: 12 }, make);
      let recorded = 0;
      for (const opik of clients) {
        const trace = opik.trace({ name: "large" });
        for (let i = 0; i < 7; i += 1) { trace.span({ input: "x ".repeat(5e5) }).end(); recorded += 1; }
      }
      let sent = 0, full = 0;
      for (const opik of clients) {
        const report = await opik.flush();
        sent += report.sent; full += report.dropped.buffer_full ?? 0;
      }
      clients[0].span({ name: "afterwards" }).end();
      const after = await clients[0].flush();
      console.log(JSON.stringify({ codes: [...codes], all: sent + full === recorded, some: sent > 0 && full > 0, after: after.sent }));`);
    assert.deepEqual(result, { codes: ["row_dropped"], all: true, some: true, after: 2 });
  } finally {
    await collector.close();
  }
});

test("a trap loses and counts the rows of its instance, and the next rows are kept in a new one", async () => {
  const collector = await startCollector();
  try {
    const result = await inNode(`
      // The core has no panic to provoke, so the first instance's third append throws.
      const { Instance } = WebAssembly;
      let instances = 0, appends = 0;
      WebAssembly.Instance = function (module, imports) {
        const instance = new Instance(module, imports);
        // Node instantiates other modules too.
        if (!imports?.["./core_bg.js"] || ++instances > 1) return instance;
        const { exports } = instance;
        const append = (...args) => {
          if (++appends === 3) throw new WebAssembly.RuntimeError("unreachable");
          return exports.append(...args);
        };
        return { exports: { ...exports, append } };
      };
      const { Opik } = await import("opik-edge");
      const codes = [];
      const make = () => new Opik({ url: ${JSON.stringify(collector.url)}, onError: (error) => codes.push(error.code) });
      const [first, second] = [make(), make()];
      const trace = first.trace();
      trace.span({ name: "lost with the instance" }).end();
      const open = second.span({ name: "survives: it was still open" });
      second.trace().span({ name: "lost with the instance" }).end();
      trace.span({ name: "the trap" }).end();
      trace.span({ name: "afterwards" }).end();
      const headers = Object.keys(open.headers()).length;
      open.end();
      const reports = [await first.flush(), await second.flush()].map(({ sent, dropped }) => ({ sent, dropped }));
      console.log(JSON.stringify({ codes, headers, instances, reports }));`);
    assert.deepEqual(result, {
      codes: ["wasm_trap", "wasm_trap"],
      headers: 4,
      instances: 2,
      reports: [
        { sent: 1, dropped: { wasm_trap: 2 } },
        { sent: 2, dropped: { wasm_trap: 1 } },
      ],
    });
    const names = collector.spans().map(({ name }) => name);
    assert.deepEqual(names.sort(), ["afterwards", "survives: it was still open"]);
  } finally {
    await collector.close();
  }
});

/**
 * A model that answers in two pieces, and the rows of calls to it. `broken` is code that changes the exports of the
 * reader's first instance.
 */
const MODEL_CALLS = (broken: string): string => `
  const { Instance } = WebAssembly;
  let readers = 0, openCalls;
  WebAssembly.Instance = function (module, imports) {
    const { exports } = new Instance(module, imports);
    if (!imports?.["./llm_bg.js"]) return { exports };
    openCalls = exports.openCalls;
    if (++readers > 1) return { exports };
    return { exports: { ...exports, ...(${broken})(exports) } };
  };
  const { Opik } = await import("opik-edge");
  const { llm } = await import("opik-edge/llm");
  const { InMemoryExporter } = await import("opik-edge/testing");
  const codes = [];
  const exporter = new InMemoryExporter();
  const opik = new Opik({ transport: exporter, background: false, observe: [llm()], onError: ({ code }) => codes.push(code) });
  const events = ['data: {"choices":[{"delta":{"content":"Hel"}}]}\\n\\n', 'data: {"choices":[{"delta":{"content":"lo"}}]}\\n\\n'];
  const via = { fetch: async () => new Response(new ReadableStream({
    pull(controller) { const next = events[this.at ??= 0]; this.at += 1; next ? controller.enqueue(new TextEncoder().encode(next)) : controller.close(); },
  }), { headers: { "content-type": "text/event-stream" } }) };
  const init = { method: "POST", body: JSON.stringify({ model: "m", messages: [] }), opik: { via } };
  const ask = (url = "https://api.openai.com/v1/chat/completions") => opik.span({}, (span) => span.fetch(url, init));`;

test("the reader of model calls is loaded at the first call to a model, and not before", async () => {
  const result = await inNode(`${MODEL_CALLS("() => ({})")}
    await (await ask("https://api.openai.com/v1/files")).text();
    const before = readers;
    const text = await (await ask()).text();
    await opik.flush();
    console.log(JSON.stringify([before, readers, text.length, exporter.spans.filter(({ type }) => type === "llm").length, codes]));`);
  assert.deepEqual(result, [0, 1, 97, 1, []]);
});

test("the reader holds no call that has ended, was given up, or is not recorded", async () => {
  const result = await inNode(`${IDS} ${MODEL_CALLS("() => ({})")}
    const held = [];
    const unsampled = new Opik({ transport: exporter, background: false, observe: [llm()], sampleRate: 0 });
    await (await unsampled.span({ parent: HEADERS }, (span) => span.fetch("https://api.openai.com/v1/chat/completions", init))).text();
    held.push(openCalls());
    init.body = "no model's";
    await (await ask("https://app.example/v1/chat/completions")).text();
    held.push(openCalls());
    init.body = "{}";
    const response = await ask();
    held.push(openCalls());
    await response.body.cancel();
    held.push(openCalls());
    await opik.span({}, (span) => span.fetch("https://api.openai.com/v1/chat/completions", { ...init, opik: { via: {
      fetch: () => Promise.reject(new TypeError("fetch failed")) } } })).catch(() => {});
    held.push(openCalls());
    console.log(JSON.stringify([held, codes]));`);
  assert.deepEqual(result, [[0, 0, 1, 0, 0], []]);
});

test("a trap of the reader turns its open calls into ordinary calls, and a new reader reads the next call", async () => {
  const broken = `({ push }) => { let count = 0; return { push: (...args) => {
    if (++count === 2) throw new WebAssembly.RuntimeError("unreachable");
    return push(...args);
  } }; }`;
  const result = await inNode(`${MODEL_CALLS(broken)}
    const [first, second] = [await ask(), await ask()];
    const texts = [await first.text(), await second.text(), await (await ask()).text()];
    await opik.flush();
    const types = exporter.spans.filter(({ name }) => name).map(({ type = "general", output }) => [type, Object.keys(output)]);
    console.log(JSON.stringify([texts.every((text) => text.includes("lo")), readers, types, codes]));`);
  assert.deepEqual(result, [
    true,
    2,
    [
      ["general", ["status"]],
      ["general", ["status"]],
      ["llm", ["choices"]],
    ],
    ["observer_failed"],
  ]);
});

test("a large instance is replaced after a flush, because its memory never shrinks", async () => {
  const collector = await startCollector();
  try {
    const result = await inNode(`
      const { Instance } = WebAssembly;
      let instances = 0;
      WebAssembly.Instance = function (module, imports) {
        // Node instantiates other modules too.
        if (imports?.["./core_bg.js"]) instances += 1;
        return new Instance(module, imports);
      };
      const { Opik } = await import("opik-edge");
      const url = ${JSON.stringify(collector.url)};
      const limits = { fieldBytes: 3 << 20, spanBytes: 3 << 20, traceBytes: 1e9 };
      const clients = Array.from({ length: 3 }, () => new Opik({ url, limits, background: false }));
      for (const opik of clients) {
        const trace = opik.trace();
        for (let i = 0; i < 7; i += 1) trace.span({ input: "x ".repeat(5e5) }).end();
      }
      const sent = [];
      for (const opik of clients) sent.push((await opik.flush()).sent);
      clients[0].span().end();
      console.log(JSON.stringify([...sent, (await clients[0].flush()).sent, instances]));`);
    assert.deepEqual(result, [7, 7, 7, 2, 2]);
  } finally {
    await collector.close();
  }
});

test("headers are written as in the golden vectors", async () => {
  const span = { id: "019ab5c0-7c01-7a11-9a11-0123456789ab", trace: "019ab5c0-7c00-7a11-8a11-0123456789ab" };
  const written = await inNode(`
    import { Opik } from "opik-edge";
    // A disabled client hands the caller's own ids on, so the ids can be fixed.
    const span = new Opik({ disabled: true }).span({ parent: {
      opik_trace_id: "${span.trace}", opik_parent_span_id: "${span.id}" } });
    console.log(JSON.stringify(["both", "underscore", "hyphen"].map((spelling) => ({ spelling, headers: span.headers({ spelling }) }))));`);
  assert.deepEqual(written, outgoing);
});

test("two copies of the package agree on the current span", async () => {
  const folder = await mkdtemp(join(tmpdir(), "opik-edge-copy-"));
  try {
    await cp(join(ROOT, "pkg"), join(folder, "pkg"), { recursive: true });
    await cp(join(ROOT, "package.json"), join(folder, "package.json"));
    const result = await inNode(`
      import { Opik, span } from "opik-edge";
      import * as copy from ${JSON.stringify(join(folder, "pkg/index.js"))};
      const opik = new Opik({ background: false, url: "http://127.0.0.1:9/api" });
      const same = opik.span({}, (root) => copy.getTrackContext().span === root);
      const child = opik.span({}, (root) => [root.id, copy.span({ name: "other copy" }).parentSpanId]);
      console.log(JSON.stringify([copy.span !== span, same, child[0] === child[1]]));`);
    assert.deepEqual(result, [true, true, true]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("without a client the OPIK_* variables configure", async () => {
  const collector = await startCollector();
  try {
    const report = await inNode(
      `import { flush, span, track } from "opik-edge";
       track(function tracked() { return span({ name: "inner" }, () => 1); })();
       console.log(JSON.stringify(await flush()));`,
      {
        OPIK_URL_OVERRIDE: `${collector.url}/`,
        OPIK_API_KEY: "key-from-env",
        OPIK_WORKSPACE: "team",
        OPIK_PROJECT_NAME: "from env",
        OPIK_ENVIRONMENT: "staging",
        OPIK_SERVICE: "checkout",
      },
    );
    assert.equal((report as { sent: number }).sent, 3);
    const inner = collector.spans().find(({ name }) => name === "inner")!;
    assert.deepEqual([inner["project_name"], inner["environment"]], ["from env", "staging"]);
    assert.equal(collector.requests[0]!.headers.authorization, "key-from-env");
    assert.equal(collector.requests[0]!.headers["comet-workspace"], "team");
    assert.match(String(collector.requests[0]!.headers["x-opik-edge"]), /^\S+; node; checkout$/);
  } finally {
    await collector.close();
  }
});

test("OPIK_TRACK_DISABLE turns recording off, and so does a missing key, with one report", async () => {
  const code = `
    import { flush, span } from "opik-edge";
    const warnings = [];
    console.warn = (text) => warnings.push(text);
    span({ name: "x" }, () => span().end());
    console.log(JSON.stringify([(await flush()).requests, warnings.length]));`;
  assert.deepEqual(await inNode(code, { OPIK_TRACK_DISABLE: "true" }), [0, 0]);
  assert.deepEqual(await inNode(code), [0, 1]);
});
