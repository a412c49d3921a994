import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { assertTrees, capture } from "opik-edge/testing";
import { expect, test } from "vitest";
import worker from "./worker.js";

test("sends the rows of a text that is read after its invocation", async () => {
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
  assertTrees(traces, [{ name: "GET /call", spans: [{ name: "GET /call", spans: [{ type: "llm" }] }] }]);
});
