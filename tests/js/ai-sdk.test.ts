// The telemetry and the tracer, called as the AI SDK calls them: settings of the client, losses, and events of other versions.
// tests/models/ai-sdk.test.ts runs the AI SDK itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Opik, type OpikConfig } from "opik-edge";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";
import { InMemoryExporter } from "opik-edge/testing";

const MESSAGES = [{ role: "user", content: "my secret" }];
const CALL = { callId: "1", provider: "openai.chat", modelId: "gpt-4.1-mini" };
const ANSWER = { content: [{ type: "text", text: "your secret" }], finishReason: "stop" };
const USAGE = { inputTokens: 1, outputTokens: 2, totalTokens: 3 };

function clientOf(config: OpikConfig = {}) {
  const exporter = new InMemoryExporter();
  const codes: string[] = [];
  const onError = ({ code }: { code: string }): number => codes.push(code);
  return { opik: new Opik({ transport: exporter, background: false, onError, ...config }), exporter, codes };
}

const marks = (metadata: unknown) => (metadata ?? {}) as Record<string, unknown>;

/** Begins a call of AI SDK 7 and its model call. */
function beginCall(opik: Opik) {
  const telemetry = opikTelemetry({ client: opik });
  telemetry.onStart({ ...CALL, operationId: "ai.generateText", messages: MESSAGES });
  telemetry.onStepStart({ ...CALL, stepNumber: 0 });
  telemetry.onLanguageModelCallStart({ ...CALL, messages: MESSAGES });
  return telemetry;
}

/** A whole call of AI SDK 7 with a tool. */
function callWithTool(opik: Opik): void {
  const telemetry = beginCall(opik);
  const toolCall = { toolCallId: "a", toolName: "weather", input: { city: "my secret" } };
  telemetry.onLanguageModelCallEnd({ ...CALL, ...ANSWER, usage: USAGE });
  telemetry.onToolExecutionStart({ ...CALL, toolCall });
  telemetry.onToolExecutionEnd({ ...CALL, toolCall, toolOutput: { type: "tool-result", output: "your secret" } });
  telemetry.onStepEnd(CALL);
  telemetry.onEnd({ ...CALL, ...ANSWER, finalStep: ANSWER });
}

/** The same of AI SDK 6. */
function callOfTracer(opik: Opik): void {
  const tracer = opikTracer({ client: opik });
  const prompt = { "ai.prompt": JSON.stringify({ messages: MESSAGES }) };
  const answer = { "ai.response.text": "your secret", "ai.usage.inputTokens": 1, "ai.usage.outputTokens": 2 };
  tracer.startActiveSpan("ai.generateText", { attributes: prompt }, (root) => {
    const messages = { "ai.prompt.messages": JSON.stringify(MESSAGES), "ai.model.id": "gpt-4.1-mini" };
    tracer.startActiveSpan("ai.generateText.doGenerate", { attributes: messages }, (span) => {
      span.setAttributes(answer);
      span.end();
    });
    const tool = { "ai.toolCall.name": "weather", "ai.toolCall.args": '{"city":"my secret"}' };
    tracer.startActiveSpan("ai.toolCall", { attributes: tool }, (span) => {
      span.setAttribute("ai.toolCall.result", '"your secret"');
      span.end();
    });
    root.setAttributes(answer);
    root.end();
  });
}

const CALLS = { "AI SDK 7": callWithTool, "AI SDK 6": callOfTracer };

for (const [title, call] of Object.entries(CALLS)) {
  test(`${title}: settings of the client hold`, async () => {
    for (const [config, mine, yours] of [
      [{}, true, true],
      [{ recordInputs: false }, false, true],
      [{ recordOutputs: false }, true, false],
      [{ redact: { patterns: [/my secret/] } }, false, true],
      [{ redact: { keys: ["content", "output"] } }, true, false],
    ] as const) {
      const { opik, exporter, codes } = clientOf(config as OpikConfig);
      call(opik);
      await opik.flush();
      const text = JSON.stringify([exporter.spans, exporter.traces]);
      assert.deepEqual([text.includes("your secret"), codes], [yours, []], JSON.stringify(config));
      if (!("redact" in config && "keys" in config.redact)) assert.equal(text.includes("my secret"), mine);
      assert.equal(exporter.spans.filter(({ type }) => type === "llm").length, 1);
    }
  });

  test(`${title}: a call that is not recorded runs as it is`, async () => {
    for (const config of [{ disabled: true }, { sampleRate: 0 }] as const) {
      const { opik, exporter, codes } = clientOf(config);
      call(opik);
      await opik.flush();
      assert.deepEqual([exporter.spans, codes], [[], []]);
    }
  });
}

test("a model call and a tool return what they return without telemetry", async () => {
  const { opik } = clientOf();
  const telemetry = beginCall(opik);
  const answer = Promise.resolve({ stream: new ReadableStream() });
  const failure = Promise.reject(new Error("refused"));
  for (const callId of ["1", "unknown"]) {
    assert.equal(telemetry.executeLanguageModelCall({ callId, execute: () => answer }), answer);
    assert.equal(telemetry.executeTool({ callId, toolCallId: "a", execute: () => answer }), answer);
    await assert.rejects(async () => telemetry.executeLanguageModelCall({ callId, execute: () => failure }), /refused/);
  }
});

test("a later attempt of one model call is counted in its span", async () => {
  const { opik, exporter } = clientOf();
  const telemetry = beginCall(opik);
  await telemetry
    .executeLanguageModelCall({ callId: "1", execute: async () => Promise.reject(new Error()) })
    .then(undefined, () => {});
  telemetry.onLanguageModelCallStart({ ...CALL, messages: MESSAGES });
  await telemetry.executeLanguageModelCall({ callId: "1", execute: async () => ({}) });
  telemetry.onLanguageModelCallEnd({ ...CALL, ...ANSWER, usage: USAGE });
  telemetry.onEnd({ ...CALL, finalStep: ANSWER });
  await opik.flush();
  const models = exporter.spans.filter(({ type }) => type === "llm");
  assert.deepEqual(
    models.map(({ metadata }) => (metadata as { attempts: number }).attempts),
    [2],
  );
});

test("an abort ends every span of its call, and of no other", async () => {
  const { opik, exporter } = clientOf();
  const telemetry = beginCall(opik);
  telemetry.onStart({ ...CALL, callId: "2", operationId: "ai.streamText" });
  telemetry.onAbort({ callId: "1", steps: [] });
  await opik.flush();
  const names = exporter.spans.map(({ name, metadata }) => [name, marks(metadata)["opik_edge_cancelled"]]);
  assert.deepEqual(names, [
    ["chat gpt-4.1-mini", true],
    ["step 1", true],
    ["generateText", true],
  ]);
});

test("a call whose spans are closed is forgotten", async () => {
  const { opik, exporter } = clientOf();
  const telemetry = beginCall(opik);
  telemetry.onError({ callId: "1", error: new TypeError("broken") });
  telemetry.onEnd({ ...CALL, ...ANSWER });
  await opik.flush();
  assert.deepEqual(
    exporter.spans.map(({ error_info }) => (error_info as { exception_type: string }).exception_type),
    ["TypeError", "TypeError", "TypeError"],
  );
});

test("embeddings are recorded without vectors", async () => {
  const { opik, exporter } = clientOf();
  const telemetry = opikTelemetry({ client: opik });
  telemetry.onStart({ ...CALL, operationId: "ai.embedMany", value: ["a", "b"] });
  for (const embedCallId of ["x", "y"]) telemetry.onEmbedStart({ ...CALL, embedCallId, values: ["a"] });
  for (const embedCallId of ["y", "x"]) {
    telemetry.onEmbedEnd({ ...CALL, embedCallId, embeddings: [[0.25, 0.5]], usage: { tokens: 3 } });
  }
  telemetry.onEnd({
    ...CALL,
    embedding: [
      [0.25, 0.5],
      [0.25, 0.5],
    ],
    usage: { tokens: 6 },
  });
  await opik.flush();
  assert.ok(!JSON.stringify(exporter.spans).includes("0.25"));
  const [one, two, root] = exporter.spans;
  for (const span of [one!, two!]) {
    assert.deepEqual(span["output"], { embeddings: [{ index: 0, dimensions: 2 }] });
    assert.equal((span["usage"] as { prompt_tokens: number }).prompt_tokens, 3);
  }
  assert.deepEqual([root!["usage"], (root!["output"] as { embeddings: unknown[] }).embeddings.length], [undefined, 2]);
});

test("tokens of Anthropic's models in AI SDK 5 include cached tokens", async () => {
  const { opik, exporter } = clientOf();
  const tracer = opikTracer({ client: opik });
  const usage = { input_tokens: 5, cache_read_input_tokens: 100, output_tokens: 7 };
  const attributes = {
    "ai.model.provider": "anthropic.messages",
    "ai.usage.inputTokens": 5,
    "ai.response.providerMetadata": JSON.stringify({ anthropic: { usage } }),
  };
  tracer.startSpan("ai.generateText.doGenerate", { attributes }).end();
  await opik.flush();
  const [span] = exporter.spans;
  assert.equal(span!["provider"], "anthropic");
  assert.equal((span!["usage"] as { prompt_tokens: number }).prompt_tokens, 105);
});

test("events that are not of a known call do nothing", () => {
  const { opik, codes } = clientOf();
  const telemetry = opikTelemetry({ client: opik });
  for (const [name, method] of Object.entries(telemetry)) {
    if (!name.startsWith("on")) continue;
    for (const event of [undefined, null, 7, {}, { callId: "unknown" }]) {
      if (name !== "onStart" || event === null || typeof event !== "object" || !("callId" in event)) method(event);
    }
  }
  assert.deepEqual(codes, []);
});

test("a stream whose consumer has stopped reading ends when it is lost", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (const begin of [
    async (opik: Opik) => {
      const telemetry = beginCall(opik);
      await telemetry.executeLanguageModelCall({
        callId: "1",
        execute: async () => ({ stream: new ReadableStream() }),
      });
    },
    async (opik: Opik) => {
      const tracer = opikTracer({ client: opik });
      tracer.startActiveSpan("ai.streamText", (root) => {
        tracer.startActiveSpan("ai.streamText.doStream", (span) => span.setAttributes({ held: root.isRecording() }));
      });
    },
  ]) {
    const { opik, exporter } = clientOf({ background: true });
    await begin(opik);
    while (exporter.spans.length < 2) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
      await opik.flush();
    }
    assert.ok(exporter.spans.every(({ metadata }) => marks(metadata)["opik_edge_unfinished"]));
  }
});

test("where WebAssembly is blocked, messages are recorded as they are", async (t) => {
  const { opik, exporter, codes } = clientOf();
  callWithTool(opik); // loads the core
  await opik.flush();
  exporter.clear();
  const { getReader } = await import(new URL("../../pkg/llm/reader.js", import.meta.url).href);
  t.mock.method(getReader(), "run", () => {
    throw new Error("blocked");
  });
  callWithTool(opik);
  await opik.flush();
  const [model] = exporter.spans.filter(({ type }) => type === "llm");
  assert.deepEqual([model!["input"], codes], [{ input: MESSAGES }, ["unexpected"]]);
});
