// Rules of recording: sampling, redaction, inputs and outputs, limits; and the kit for tests.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { withOpik } from "opik-edge/cloudflare";
import { assertTrees, treesOf, useDeterministicIds, useFakeClock } from "opik-edge/testing";
import { client, codes, errors, exporter } from "../support/recording.js";

const HEADERS = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

test("sampling is decided where the trace begins, from its id, and everything under it follows", async () => {
  const opik = client({ sampleRate: 0.25 });
  const sampled: string[] = [];
  for (let n = 0; n < 2000; n += 1) {
    opik.span({ name: "root" }, (root) => {
      const headers = root.span({ name: "child" }).headers();
      assert.equal(Object.keys(headers).length, root.id ? 4 : 0, "an unsampled trace sends no headers");
      if (root.id) sampled.push(root.traceId);
      else assert.equal(root.traceId, "");
    });
  }
  // Ten standard deviations around 500.
  assert.ok(sampled.length > 300 && sampled.length < 700, `${sampled.length} of 2000`);
  // Checks the documented reading of the id: its last 8 bytes, the last one first.
  for (const id of sampled) {
    const bytes = id.slice(19).replace("-", "").match(/../g)!.reverse();
    assert.ok(Number.parseInt(bytes.slice(0, 6).join(""), 16) < 2 ** 48 / 4, id);
  }
  await opik.flush();
  assert.equal(exporter.traces.length, sampled.length);
});

test("a caller's trace is followed whatever the rate", async () => {
  const opik = client({ sampleRate: 0 });
  opik.span({ name: "not recorded" }, (root) => assert.deepEqual(root.headers(), {}));
  opik.trace({ name: "nor this" }).end();
  opik.span({ name: "joined", parent: HEADERS }, (root) => assert.equal(Object.keys(root.headers()).length, 4));
  await opik.flush();
  assert.deepEqual([exporter.traces.length, exporter.spans.map(({ name }) => name)], [0, ["joined"]]);
  assert.deepEqual(codes(), []);
});

test("a rate may depend on the name, which in a Worker is the route; an invalid rate records", async () => {
  const rates: Record<string, unknown> = { "GET /health": 0, "GET /chat": 1, "GET /broken": "often" };
  const handler = withOpik({ fetch: async (_request: Request, _env: object, _ctx: object) => new Response() }, () => ({
    transport: exporter,
    onError: (error) => errors.push(error),
    sampleRate: (name) => {
      if (name === "GET /throws") throw new Error("no");
      return rates[name] as number;
    },
  }));
  for (const path of ["health", "chat", "broken", "throws"]) {
    let held: Promise<unknown> | undefined;
    const ctx = { waitUntil: (promise: Promise<unknown>) => (held = promise) };
    await handler.fetch(new Request(`http://host.test/${path}`), {}, ctx);
    await held;
  }
  assert.deepEqual(
    exporter.traces.map(({ name }) => name),
    ["GET /chat", "GET /broken", "GET /throws"],
  );
  assert.deepEqual(codes(), ["invalid_sample_rate"]);
  for (const sampleRate of [-1, 1.1, Number.NaN, "half"]) {
    assert.throws(() => client({ sampleRate: sampleRate as number }), { code: "invalid_config" });
  }
});

test("redacted text never leaves, neither in rows of traces nor in errors", async () => {
  const opik = client({
    redact: {
      keys: ["password", /^x-.*token$/gi],
      patterns: [/sk-[a-z0-9]+/g, /\d{4}-\d{4}/],
      replace: (value, key) => (key === "email" ? "[somebody]" : value),
    },
  });
  const secret = { Password: "hunter2", deep: [{ "x-api-token": { a: "hunter3" } }], email: "a@b.c" };
  assert.throws(() =>
    opik.span({ name: "call sk-abc1", input: secret, metadata: secret, tags: ["sk-abc2"] }, (root) => {
      root.update({ output: new Map([["text", "key sk-abc3 card 1234-5678 and 8765-4321"]]) });
      root.trace.update({ threadId: "sk-abc4" });
      root.span({ input: "sk-abc5", usage: { tokens: 3 }, model: "sk-model" }).end();
      const error = new Error("failed with sk-abc6", { cause: new Error("because of sk-abc7") });
      error.stack = `Error: failed with sk-abc6\n    at https://host.test/?key=sk-abc8`;
      throw error;
    }),
  );
  assert.throws(() =>
    opik.span({ name: "object" }, () => {
      throw { password: "hunter4", reason: "sk-abc9" };
    }),
  );
  await opik.flush();
  const text = JSON.stringify(exporter.requests);
  assert.doesNotMatch(text, /hunter|sk-abc|a@b\.c|1234|8765/);
  const [root] = exporter.spans.filter(({ name }) => name === "call [redacted]");
  assert.deepEqual(root!["input"], {
    Password: "[redacted]",
    deep: [{ "x-api-token": "[redacted]" }],
    email: "[somebody]",
  });
  assert.deepEqual(root!["output"], { text: "key [redacted] card [redacted] and [redacted]" });
  assert.deepEqual(exporter.traces[0]!["input"], root!["input"]);
  const [child] = exporter.spans.filter(({ usage }) => usage);
  assert.deepEqual(
    [child!["usage"], child!["model"]],
    [{ tokens: 3 }, "sk-model"],
    "fields that the API interprets stay unchanged",
  );
  assert.deepEqual(codes(), []);
});

test("redaction comes before cutting", async () => {
  const opik = client({ redact: { patterns: [/secret-\d+/] }, limits: { fieldBytes: 4096 } });
  // Cut first, the last secret would be "secret-1" and no longer match a longer pattern.
  opik.span({ input: { text: "secret-1234567890 ".repeat(1000) } }).end();
  await opik.flush();
  assert.doesNotMatch(JSON.stringify(exporter.requests), /secret/);
  assert.deepEqual(codes(), ["field_cut"]);
});

test("a redactor that fails masks the whole field, and is reported once", async () => {
  const opik = client({
    redact: {
      replace: (value, key) => {
        if (key === "bad") throw new Error("no");
        return value;
      },
    },
  });
  for (let n = 0; n < 2; n += 1) {
    opik.span({ name: "n", input: { fine: 1, bad: "secret" }, output: { fine: 2 } }).end();
  }
  await opik.flush();
  assert.deepEqual(exporter.spans[0]!["input"], { input: "[redacted]" });
  assert.deepEqual(exporter.spans[0]!["output"], { fine: 2 });
  assert.deepEqual(codes(), ["redaction_failed"]);
  assert.throws(() => client({ redact: { keys: 7 as never } }), { code: "invalid_config" });
});

test("inputs and outputs can be left out altogether", async () => {
  const opik = client({ recordInputs: false, recordOutputs: false });
  opik.track(function tracked(_: string) {
    return "output";
  })("input");
  await opik.flush();
  assert.doesNotMatch(JSON.stringify(exporter.requests), /"(input|output)"/);
  assert.equal(exporter.spans[0]!.name, "tracked");
});

test("limits are applied, and invalid limits are refused by name", async () => {
  const opik = client({ limits: { fieldBytes: 16_384, spanBytes: 16_384, traceBytes: 20_000 } });
  const trace = opik.trace({ name: "limited" });
  for (let n = 0; n < 5; n += 1) trace.span({ input: { text: "x ".repeat(3000) }, output: { n } }).end();
  trace.end();
  await opik.flush();
  const sizes = exporter.spans.map((row) => JSON.stringify(row["input"]).length);
  assert.ok(sizes[0]! > 6000 && sizes[4]! < 2000, `${sizes}`);
  assert.deepEqual(
    exporter.spans.map((row) => row["output"]),
    [0, 1, 2, 3, 4].map((n) => ({ n })),
  );
  for (const [field, value] of Object.entries({
    fieldBytes: 1,
    spanBytes: 1e9,
    traceBytes: 0.5,
    bufferBytes: "8 MB",
  })) {
    assert.throws(() => client({ limits: { [field]: value } as never }), {
      code: "invalid_config",
      message: new RegExp(`^limits.${field}:`),
    });
  }
  for (const wrong of [
    { transport: {} },
    { signals: ["SIGKILL"] },
    { background: 1 },
    { recordInputs: "no" },
    { native: 1 },
  ]) {
    assert.throws(() => client(wrong as never), { code: "invalid_config" });
  }
});

test("exported rows are compared as trees, by part", async () => {
  const opik = client();
  await opik.span({ name: "chat", input: { q: 1, more: 2 } }, async (root) => {
    await root.span({ name: "llm", type: "llm", usage: { total_tokens: 3 } }, async () => {});
    root.span({ name: "rank" }).end();
  });
  opik.span({ name: "joined", parent: HEADERS }).end();
  await opik.flush();
  assert.deepEqual(
    treesOf(exporter).map(({ spans }) => spans.length),
    [1, 1],
  );
  const expected = [
    {
      name: "chat",
      spans: [{ input: { q: 1 }, spans: [{ type: "llm", usage: { total_tokens: 3 }, spans: [] }, { name: "rank" }] }],
    },
    { id: HEADERS.opik_trace_id, spans: [{ name: "joined", parent_span_id: HEADERS.opik_parent_span_id }] },
  ];
  assertTrees(exporter, expected);
  assert.throws(() => assertTrees(exporter, expected.slice(1)), /traces: expected 1, got 2/);
  assert.throws(
    () => assertTrees(exporter, [{ spans: [{ spans: [{ type: "tool" }, {}] }] }, {}]),
    /traces\[0\]\.spans\[0\]\.spans\[0\]\.type: expected "tool", got "llm"\nexported:\nchat\n {2}chat \(general\)\n {4}llm \(llm\)/,
  );
  exporter.clear();
  assertTrees(exporter, []);
});

test("with a seed and a clock, rows are the same in every run", async () => {
  const run = async (): Promise<unknown> => {
    using _clock = useFakeClock();
    using _ids = useDeterministicIds(7);
    exporter.clear();
    const opik = client();
    opik.span({ name: "a" }, (root) => root.span({ name: "b" }).end());
    await opik.flush();
    return structuredClone(exporter.requests);
  };
  const first = await run();
  assert.deepEqual(await run(), first);
  assert.match(JSON.stringify(first), /"start_time":"2027-01-15T08:00:00\.00\dZ"/);
});

afterEach(() => {
  exporter.clear();
});
