// Runs the examples of the README and the guides whose environment no other test provides, as written there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Response as MiniflareResponse } from "miniflare";
import { startUpstream } from "../../examples/cloudflare-worker/upstream.js";
import { startCollector } from "../support/collector.js";
import { example } from "../support/readme.js";
import { startTestUpstream } from "../support/upstream.js";
import { ROOT, startWorker } from "../support/worker.js";

test("the Worker joins the caller's trace, and records the model's answer", async () => {
  const collector = await startCollector();
  const upstream = await startUpstream();
  const worker = await startWorker(await example("worker", "ts"), {
    bindings: { OPIK_URL_OVERRIDE: collector.url, OPENAI_API_KEY: "a key" },
    miniflare: {
      // The model's host is this machine.
      outboundService: async (request: { url: string; method: string; text(): Promise<string> }) => {
        const { host, pathname } = new URL(request.url);
        const url = host === "api.openai.com" ? `${upstream.url}${pathname}` : request.url;
        const answer = await fetch(url, { method: request.method, body: await request.text() });
        return new MiniflareResponse(answer.status === 204 ? null : await answer.text(), {
          status: answer.status,
          headers: { "content-type": answer.headers.get("content-type") ?? "text/plain" },
        });
      },
    },
  });
  try {
    const headers = {
      opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
      opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
    };
    const response = await fetch(worker.url, { method: "POST", headers, body: "What is a trace?" });
    assert.equal(await response.text(), "A trace is a tree of spans.");
    await collector.until(() => collector.spans().length === 2);
    const [root, llm] = ["POST /", "chat gpt-4.1-mini"].map(
      (name) => collector.spans().find((span) => span["name"] === name)!,
    );
    assert.deepEqual([root!.trace_id, root!.parent_span_id], [headers.opik_trace_id, headers.opik_parent_span_id]);
    assert.deepEqual([llm!["type"], llm!["provider"], llm!.parent_span_id], ["llm", "openai", root!.id]);
    assert.equal((llm!["usage"] as Record<string, number>)["total_tokens"], 51);
    assert.deepEqual(root!["project_name"], "chat");
  } finally {
    await worker.close();
    await upstream.close();
    await collector.close();
  }
});

test("the queue's producer and consumer are one Worker", async () => {
  const collector = await startCollector();
  const worker = await startWorker(await example("queue", "ts"), {
    bindings: { OPIK_URL_OVERRIDE: collector.url },
    miniflare: {
      queueProducers: { OPIK_ROWS: { queueName: "rows" } },
      queueConsumers: { rows: { maxBatchTimeout: 0 } },
    },
  });
  try {
    assert.equal(await (await fetch(worker.url)).text(), "hello");
    await collector.until(() => collector.traces().length === 1 && collector.spans().length === 1);
  } finally {
    await worker.close();
    await collector.close();
  }
});

test("the relay forwards a page's rows", async () => {
  const collector = await startCollector();
  const worker = await startWorker(await example("relay", "ts"), { bindings: { OPIK_URL_OVERRIDE: collector.url } });
  try {
    const id = "018bcfe5-6800-7000-8000-000000000001".replace(
      /^.{13}/,
      Date.now()
        .toString(16)
        .padStart(12, "0")
        .replace(/^(.{8})/, "$1-"),
    );
    const body = JSON.stringify({ traces: [{ id, name: "page", start_time: new Date().toISOString() }] });
    const send = (origin: string) =>
      fetch(worker.url, { method: "POST", headers: { origin, "content-type": "text/plain" }, body });
    assert.equal((await send("https://evil.example.com")).status, 403);
    assert.equal((await send("https://app.example.com")).status, 200);
    assert.equal(collector.traces()[0]!["project_name"], "chat");
  } finally {
    await worker.close();
    await collector.close();
  }
});

test("the example of a test passes", async () => {
  const file = await example("testing", "mjs");
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: ROOT });
  assert.equal(stdout, "as expected\n");
});

test("the program without a Worker sends its spans", async () => {
  const collector = await startCollector();
  const upstream = await startTestUpstream();
  try {
    const file = await example("node", "mjs");
    const code = await readFile(join(ROOT, file), "utf8");
    await writeFile(join(ROOT, file), code.replace("https://example.com/", `${upstream.url}/text`));
    const env = { PATH: process.env["PATH"]!, OPIK_URL_OVERRIDE: collector.url };
    const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: ROOT, env });
    assert.match(stdout, /^5 0 \{\}/);
    assert.equal(collector.traces()[0]!["thread_id"], "nightly");
    assert.deepEqual(
      collector
        .spans()
        .map(({ name }) => name)
        .sort(),
      [`GET ${new URL(upstream.url).host}/text`, "handler", "job", "summarise"],
    );
  } finally {
    await upstream.close();
    await collector.close();
  }
});
