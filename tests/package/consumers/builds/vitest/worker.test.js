import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { assertTrees, capture } from "opik-edge/testing";
import { expect, test } from "vitest";
import worker from "./worker.js";

const call = [{ name: "GET /call", spans: [{ name: "GET /call", spans: [{ type: "llm" }] }] }];

test("sends the rows of a handler that the test calls", async () => {
  const context = createExecutionContext();
  const response = await worker.fetch(new Request("https://example.com/call"), env, context);
  expect(await response.json()).toBeTypeOf("object");
  await waitOnExecutionContext(context);
});

test("sends the rows of a response that is read after its invocation", async () => {
  const context = createExecutionContext();
  const response = await worker.fetch(new Request("https://example.com/text"), env, context);
  await waitOnExecutionContext(context);
  expect(await response.text()).toBe("Hello");
});

test("captures a handler that the test calls", async () => {
  const traces = await capture(async () => {
    const context = createExecutionContext();
    const response = await worker.fetch(new Request("https://example.com/call"), env, context);
    await response.text();
    await waitOnExecutionContext(context);
  });
  assertTrees(traces, call);
});

test("captures the Worker", async () => {
  const traces = await capture(async () => (await exports.default.fetch("https://example.com/call")).text());
  assertTrees(traces, call);
});
