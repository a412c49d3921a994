// Real agents in workerd, plain and traced: `agents` and `@cloudflare/ai-chat`. Both sides give the same results, and the traced side
// is recorded.

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { WebSocket } from "undici";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { bundled, type RunningWorker, startModules } from "../support/worker.js";

const SIDES = ["plain", "traced"] as const;
type Side = (typeof SIDES)[number];

let collector: Collector;
let model: Server;
const workers = {} as Record<Side, RunningWorker>;
before(async () => {
  collector = await startCollector();
  model = await startModel();
  const modules = await bundled("tests/transparency/agents/worker.ts");
  for (const side of SIDES) {
    const { port } = model.address() as AddressInfo;
    workers[side] = await startModules(modules, {
      bindings: { SIDE: side, MODEL: `http://127.0.0.1:${port}/v1`, OPIK_URL_OVERRIDE: collector.url },
      compatibilityDate: "2026-11-01",
      compatibilityFlags: ["nodejs_compat"],
      onLog: (line) => {
        if (process.env["SHOW"]) console.error(side, line);
      },
      miniflare: {
        durableObjects: {
          Tester: { className: "Tester", useSQLite: true },
          Chat: { className: "Chat", useSQLite: true },
        },
      },
    });
  }
});
after(async () => {
  await closeAll(...SIDES.map((side) => workers[side]), model, collector);
});

/** A model that always gives the same answer, in the format of OpenAI's Chat Completions. */
async function startModel(): Promise<Server> {
  const chunk = (choice: object, usage?: object) =>
    `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "fake", choices: [{ index: 0, ...choice }], usage })}\n\n`;
  const server = createServer((request, response) => {
    request.resume();
    response.setHeader("content-type", "text/event-stream");
    response.write(chunk({ delta: { role: "assistant", content: "Hello" } }));
    response.write(chunk({ delta: { content: " there" } }));
    response.write(chunk({ delta: {}, finish_reason: "stop" }, { prompt_tokens: 3, completion_tokens: 2 }));
    response.end("data: [DONE]\n\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Runs `talk` with each side, asserts that the results are equal, and returns the result. */
async function both<T>(talk: (url: string) => Promise<T>): Promise<T> {
  const plain = await talk(workers.plain.url);
  assert.deepEqual(await talk(workers.traced.url), plain);
  return plain;
}

/** Connects to an agent and collects its messages, without ids that are new in each run. */
async function connect(url: string, path: string) {
  const socket = new WebSocket(`${url.replace("http", "ws")}${path}`);
  const said: unknown[] = [];
  let heard = (): void => {};
  socket.addEventListener("message", ({ data }) => {
    said.push(withoutIds(String(data)));
    heard();
  });
  const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return {
    said,
    send: (message: unknown) => socket.send(typeof message === "string" ? message : JSON.stringify(message)),
    /** Resolves once a message matches `isIt`. */
    async until(isIt: (message: string) => boolean): Promise<void> {
      while (!said.some((message) => isIt(JSON.stringify(message)))) {
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    },
    async close(): Promise<void> {
      socket.close(1000, "bye");
      await closed;
    },
  };
}

function withoutIds(text: string): unknown {
  const told = text.replace(/assistant_\w+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "(id)");
  try {
    return JSON.parse(told);
  } catch {
    return told;
  }
}

/** The path from the root of each span called `name`, once there are `count` of them with all their ancestors. */
async function paths(name: string, count: number): Promise<string[]> {
  const path = ({ name, parent_span_id }: StoredRow): string => {
    const parent = collector.spans().find(({ id }) => id === parent_span_id);
    return parent ? `${path(parent)} > ${name}` : parent_span_id ? "(not there)" : String(name);
  };
  const found = () => collector.spans().flatMap((row) => (row["name"] === name ? path(row) : []));
  await collector.until(() => found().length >= count && !found().some((text) => text.startsWith("(not")));
  return found();
}

test("HTTP: its overrides, its SQL, its metadata", async () => {
  const answer = await both(async (url) => {
    const response = await fetch(`${url}/agents/tester/one/some/path?q=1`, { method: "POST", body: "a note" });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body["notes"], [{ note: "a note" }]);
  assert.deepEqual(answer.body["self"], [true, "TesterAgent", true]);
  assert.deepEqual(answer.body["heard"], ["start", "request"]);
  assert.deepEqual(await paths("in onRequest", 1), ["POST /agents/tester/one/some/path > in onRequest"]);
});

test("a WebSocket: connecting, messages, state, failures, a schedule and a queue", async () => {
  const said = await both(async (url) => {
    const socket = await connect(url, "/agents/tester/two");
    await socket.until((message) => message.includes("welcome"));
    for (const message of ["hello", "count", "break", "later"]) {
      socket.send(message);
      await socket.until((told) =>
        told.includes(message === "later" ? "due scheduled" : message === "break" ? "failed" : message),
      );
    }
    socket.send("queued");
    await socket.until((message) => message.includes("due queued"));
    socket.send({ type: "cf_agent_state", state: { count: 10 } });
    socket.send("and then");
    await socket.until((message) => message.includes("and then"));
    await socket.close();
    const response = await fetch(`${url}/agents/tester/two`);
    const { heard, schedules } = (await response.json()) as Record<string, unknown>;
    return { said: socket.said, heard, schedules };
  });
  assert.ok(said.said.includes("hello 7"), JSON.stringify(said));
  assert.deepEqual((await paths("in onMessage", 6))[0], "webSocketMessage > in onMessage");
  assert.ok((await paths("in due", 2)).includes("alarm > in due"));
});

test("callable methods by WebSocket, and methods that are not callable", async () => {
  const said = await both(async (url) => {
    const socket = await connect(url, "/agents/tester/three");
    await socket.until((message) => message.includes("welcome"));
    const calls = [["add", 1, 2], ["hidden"], ["fails"], ["missing"], ["constructor"], ["stream", ["a", "b"]]];
    for (const [at, [method, ...args]] of calls.entries()) {
      socket.send({ type: "rpc", id: `call ${at}`, method, args });
      await socket.until((message) => message.includes(`call ${at}`) && !message.includes('"done":false'));
    }
    await socket.close();
    return socket.said;
  });
  assert.match(JSON.stringify(said), /"result":10/);
  assert.ok((await paths("in add", 1)).includes("webSocketMessage > in add"));
});

test("native RPC joins its caller's trace", async () => {
  const answer = await both(async (url) => (await fetch(`${url}/native`)).json());
  assert.deepEqual(answer, { sum: 10, hidden: 7, failed: "TypeError: not so" });
  assert.deepEqual(await paths("in add", 2), [
    "webSocketMessage > in add",
    "GET /native > Tester.add > TesterAgent.add > in add",
  ]);
});

test("a chat with a model", async () => {
  const said = await both(async (url) => {
    const socket = await connect(url, "/agents/chat/one");
    await socket.until((message) => message.includes("cf_agent_mcp_servers"));
    const messages = [{ id: "m1", role: "user", parts: [{ type: "text", text: "hi" }] }];
    socket.send({
      type: "cf_agent_use_chat_request",
      id: "request 1",
      init: { method: "POST", body: JSON.stringify({ messages }) },
    });
    await socket.until((message) => message.includes('"done":true'));
    await socket.close();
    const kept = await fetch(`${url}/agents/chat/one/get-messages`);
    return { said: socket.said, kept: withoutIds(await kept.text()) };
  });
  assert.match(JSON.stringify(said.kept), /Hello there/);
  const model = await paths(`POST 127.0.0.1:${port()}/v1/chat/completions`, 1);
  assert.match(model[0]!, /^webSocketMessage > POST/);
});

function port(): number {
  return (model.address() as AddressInfo).port;
}
