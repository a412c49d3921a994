// Calls of models in a Worker: by `fetch`, and through workerd's Workers AI module with our service behind it. The Worker
// sees the same with tracing as without.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { modelFixtures } from "../support/model-fixtures.js";
import { type RunningWorker, startWorker } from "../support/worker.js";

const MODEL = "@cf/meta/llama-3.1-8b-instruct";
const STREAMED = modelFixtures("workers_ai").find(({ name }) =>
  name.endsWith("the binding's stream of its own shape"),
)!;
const CHAT = modelFixtures("openai_chat")[0]!;
const INPUT = { messages: [{ role: "user", content: "Hi" }] };
const answer = (content: string) => ({ choices: [{ index: 0, message: { role: "assistant", content } }] });

/** Asserts that `actual` has these members, possibly among others. */
function assertHas(actual: unknown, expected: object): void {
  const members = Object.keys(expected).map((name) => [name, (actual as Record<string, unknown>)[name]]);
  assert.deepEqual(Object.fromEntries(members), expected);
}

/** Answers as Workers AI to the binding's module, and as the upstream of the Worker's own calls. */
function models(): Server {
  return createServer((request, response) => {
    let body = "";
    request.on("data", (text) => {
      body += text;
    });
    request.on("end", () => {
      const url = new URL(`${request.headers["mf-url"] ?? `http://upstream${request.url}`}`);
      const model = request.headers["mf-header-cf-consn-model-id"];
      const json = { "content-type": "application/json", "cf-ai-req-id": "request", "MF-Forwarded-Response": "true" };
      if (url.hostname === "upstream") {
        response.writeHead(200, { "content-type": "text/event-stream" });
        return response.end(CHAT.answer);
      }
      if (url.pathname.startsWith("/ai-gateway/universal")) {
        response.writeHead(200, { ...json, "cf-aig-step": "1", "cf-aig-log-id": "log" });
        return response.end(
          JSON.stringify({ model: "gpt-4.1", choices: [{ index: 0, message: { content: "Hello" } }] }),
        );
      }
      if (model === "@cf/none") {
        response.writeHead(400, json);
        return response.end(JSON.stringify({ errors: [{ code: 5007, message: "No such model" }] }));
      }
      if (`${model}`.includes("bge")) {
        response.writeHead(200, json);
        return response.end(
          JSON.stringify({
            shape: [2, 3],
            data: [
              [0.1, 0.2, 0.3],
              [0.4, 0.5, 0.6],
            ],
          }),
        );
      }
      if (body.includes('"stream":true')) {
        response.writeHead(200, { ...json, "content-type": "text/event-stream" });
        for (const line of STREAMED.answer.toString().split(/(?<=\n\n)/)) response.write(line);
        return response.end();
      }
      response.writeHead(200, { ...json, "cf-aig-log-id": "log" });
      const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
      return response.end(JSON.stringify({ response: "Hello", usage }));
    });
  });
}

for (const workerd of ["current", "old"] as const) {
  describe(`in the ${workerd} workerd`, () => {
    let collector: Collector;
    let service: Server;
    let worker: RunningWorker;
    before(async () => {
      collector = await startCollector();
      service = models().listen(0, "127.0.0.1");
      await once(service, "listening");
      const upstream = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
      worker = await startWorker("tests/worker/llm-worker.ts", {
        workerd,
        bindings: { OPIK_URL_OVERRIDE: collector.url, UPSTREAM: upstream },
        miniflare: { ai: { binding: "AI", remoteProxyConnectionString: new URL(upstream) as never } },
      });
    });
    after(() => {
      service.closeAllConnections();
      return closeAll(worker, collector, { close: () => void service.close() });
    });

    /** The result of a call as the Worker sees it, and the span of the call. Checks that the Worker sees the same without tracing. */
    async function call(
      name: string,
    ): Promise<{ seen: unknown; span: ReturnType<Collector["spans"]>[number] | undefined }> {
      const ask = async (traced: string) => (await fetch(`${worker.url}/${name}`, { headers: { traced } })).json();
      const untraced = await ask("no");
      const seen = await ask("yes");
      assert.deepEqual(seen, untraced);
      const root = () => collector.spans().find((row) => row["name"] === `GET /${name}`);
      await collector.until(() => root() !== undefined);
      return { seen, span: collector.spans().find((row) => row.parent_span_id === root()!.id) };
    }

    test("an object is recorded", async () => {
      const { seen, span } = await call("object");
      assert.deepEqual((seen as { response: string }).response, "Hello");
      const { type, name, model, provider, input, output, usage, ttft } = span!;
      assert.deepEqual(
        { type, name, model, provider, input, ttft },
        { type: "llm", name: `chat ${MODEL}`, model: MODEL, provider: "cloudflare", input: INPUT, ttft: undefined },
      );
      assert.deepEqual(output, answer("Hello"));
      assertHas(usage, { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 });
    });

    test("a stream is recorded as it passes", async () => {
      const { seen, span } = await call("stream");
      assert.deepEqual(seen, { stream: STREAMED.answer.toString() });
      assert.deepEqual(span!["output"], STREAMED.expected["output"]);
      assert.equal(typeof span!["ttft"], "number");
    });

    test("a stream whose reader leaves early is recorded as far as it has come", async () => {
      const { span } = await call("left-early");
      assert.equal(span!["type"], "llm");
      assert.match(JSON.stringify(span!["metadata"]), /opik_edge_stopped_reading/);
    });

    test("a raw response is recorded as it arrives", async () => {
      const { seen, span } = await call("raw");
      assert.deepEqual(seen, { status: 200, body: STREAMED.answer.toString() });
      assert.deepEqual(span!["output"], STREAMED.expected["output"]);
    });

    test("a call that asks for a socket passes unchanged (openinference#3805)", async () => {
      assert.equal((await call("socket")).span, undefined);
    });

    test("the gateway's name and the id of its log are metadata", async () => {
      const { span } = await call("gateway");
      assertHas(span!["metadata"], { cf_aig_gateway_id: "mine", cf_aig_log_id: "log" });
    });

    test("embeddings are counted", async () => {
      const { span } = await call("embeddings");
      const embeddings = [0, 1].map((index) => ({ index, dimensions: 3 }));
      assert.deepEqual([span!["type"], span!["output"]], ["llm", { embeddings }]);
    });

    test("a failure reaches the Worker, and its span", async () => {
      const { seen, span } = await call("failing");
      assert.deepEqual(seen, { name: "InferenceUpstreamError", message: "5007: No such model", isError: true });
      assert.equal(span!["type"], "llm");
      assertHas(span!["error_info"], {
        exception_type: "5007",
        message: "No such model",
      });
    });

    test("the gateway entry that answered is recorded, without its key", async () => {
      const { span } = await call("universal");
      const { type, model, provider, input, metadata } = span!;
      assert.deepEqual(
        { type, model, provider, input },
        { type: "llm", model: "gpt-4.1", provider: "openai", input: INPUT },
      );
      assertHas(metadata, { cf_aig_step: "1", cf_aig_log_id: "log" });
      assert.doesNotMatch(JSON.stringify(span), /SECRET/);
    });

    test("a gateway's other methods still work", async () => {
      assert.deepEqual((await call("by-rpc")).seen, "function");
    });

    test("the binding's methods look unchanged", async () => {
      const { seen } = await call("methods");
      assert.deepEqual((seen as unknown[])[0], "run");
    });

    test("a call by fetch is recorded as well", async () => {
      const { seen, span } = await call("fetched");
      assert.deepEqual(seen, { status: 200, body: CHAT.answer.toString() });
      assert.deepEqual(
        [span!["type"], span!["provider"], span!["output"]],
        ["llm", "127.0.0.1", CHAT.expected["output"]],
      );
    });
  });
}
