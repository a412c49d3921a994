// Handlers and classes wrapped by `withOpik`, without the platform: the tests call doubles as the platform does.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { getTrackContext, span } from "opik-edge";
import { deliverQueue, tracedQueue, tracedRpc, withContext, withOpik } from "opik-edge/cloudflare";
import { InMemoryExporter } from "opik-edge/testing";

const CALLER = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

/** A Worker's `ctx`, an exporter, and the reports. */
function setUp() {
  const exporter = new InMemoryExporter();
  const errors: string[] = [];
  const waited: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => void waited.push(promise) };
  const config = () => ({ transport: exporter, onError: ({ code }: { code: string }) => void errors.push(code) });
  const settled = async () => {
    for (let n = 0; n < waited.length; n += 1) await waited[n];
  };
  const names = () => exporter.spans.map(({ name }) => name);
  const named = (name: string) => exporter.spans.find((row) => row["name"] === name)!;
  return { exporter, errors, ctx, config, settled, names, named };
}

/** As in `cloudflare:workers`. */
class Base {
  constructor(
    readonly ctx: unknown,
    readonly env: unknown,
  ) {}
}

test("settings are an object, or a function of env and trigger, for every wrapped thing", async () => {
  const { exporter, ctx } = setUp();
  const asked: unknown[] = [];
  const settings = { transport: exporter, background: false };
  const ways = [
    settings,
    (env: unknown, { type, request }: { type: string; request: { method?: string } }) => {
      asked.push([env, type, request.method]);
      return settings;
    },
  ] as never[];
  const env = { OPIK_PROJECT_NAME: "shop" };
  const { withOpik: onServer } = await import("opik-edge/server");
  const { opikMiddleware: inHono } = await import("opik-edge/hono");
  const { opikMiddleware: inNode } = await import("opik-edge/node");
  const request = new Request("http://host.test/path");
  for (const config of ways) {
    await withOpik({ fetch: async (_: Request, __: object, ___: object) => new Response() }, config).fetch(
      request,
      env,
      ctx,
    );
    await (await onServer(async (_: Request) => new Response(), config)(request)).text();
    const context = { req: { raw: request }, env, executionCtx: ctx, set() {}, finalized: true, res: new Response() };
    await inHono(config)(context, async () => {});
    const response = new EventEmitter();
    inNode(config)(
      { method: "GET", url: "/", headers: {} },
      Object.assign(response, { statusCode: 200, writableFinished: true }),
      () => {},
    );
    response.emit("finish");
  }
  assert.deepEqual(asked, [
    [env, "fetch", "GET"],
    [undefined, "fetch", "GET"],
    [env, "fetch", "GET"],
    [undefined, "fetch", "GET"],
  ]);
});

test("settings that are created for each call count as the same if their members are the same", async () => {
  const { ctx, exporter, settled } = setUp();
  let read = 0;
  const env = new Proxy(
    { OPIK_PROJECT_NAME: "shop" },
    {
      getOwnPropertyDescriptor: (target, name) => {
        read += 1;
        return Reflect.getOwnPropertyDescriptor(target, name);
      },
    },
  );
  const reads: number[] = [];
  let fieldBytes = 5000;
  const handler = withOpik({ fetch: async (_: Request, __: object, ___: object) => new Response() }, () => ({
    transport: exporter,
    redact: { keys: ["password", /token$/] },
    limits: { fieldBytes },
  }));
  for (const bytes of [5000, 5000, 6000]) {
    fieldBytes = bytes;
    read = 0;
    await handler.fetch(new Request("http://host.test/"), env, ctx);
    reads.push(read);
  }
  await settled();
  assert.deepEqual(
    reads.map((count) => count > 0),
    [true, false, true],
    "variables are looked up where settings have changed",
  );
});

test("calls that a class makes to itself while it is constructed are not calls from outside", async () => {
  const { ctx, config, settled, names } = setUp();
  let made: Promise<unknown> = Promise.resolve();
  const Traced = withOpik(
    class Store extends Base {
      constructor(given: unknown, env: unknown) {
        super(given, env);
        made = Promise.resolve().then(async () => {
          await null;
          return this.table().where("a = 1");
        });
      }
      /** A query builder: awaited lazily, and more than a promise. */
      table() {
        // biome-ignore lint/suspicious/noThenProperty: such builders have it
        return { then: (resolve: (rows: string[]) => void) => resolve(["row"]), where: (text: string) => text };
      }
    },
    config,
  );
  const store = new Traced(ctx, {});
  assert.equal(await made, "a = 1");
  await settled();
  assert.deepEqual(names(), []);
  assert.equal(store.table().where("b = 2"), "b = 2", "and from outside it goes as it is");
  await settled();
  assert.deepEqual(names(), ["Store.table"]);
});

test("every argument of a constructor reaches the class, and a class without a name is called after its base", async () => {
  const { ctx, config, settled, names } = setUp();
  const Traced = withOpik(
    class extends Base {
      readonly rest: unknown[];
      constructor(given: unknown, env: unknown, ...rest: unknown[]) {
        super(given, env);
        this.rest = rest;
      }
      add() {
        return this.rest;
      }
    },
    config,
  ) as unknown as new (
    ...args: unknown[]
  ) => { add(): unknown[] };
  class Sub extends Traced {}
  const sub = new Sub(ctx, {}, "third");
  assert.ok(sub instanceof Sub && sub instanceof Traced && sub instanceof Base);
  assert.deepEqual(sub.add(), ["third"]);
  await settled();
  assert.deepEqual(names(), ["Base.add"]);
});

test("a handler behind a getter and a private field is traced; anything but a handler stays as it is", async () => {
  const { ctx, config, settled, names } = setUp();
  class Model {}
  class Worker {
    #scheduled = async () => "ran";
    readonly Model = Model;
    get scheduled() {
      return this.#scheduled;
    }
    get secret() {
      return this.#scheduled.name;
    }
  }
  const worker = withOpik(
    new Worker() as Worker & { scheduled(controller: unknown, env: unknown, given: unknown): unknown },
    config,
  );
  assert.equal(await worker.scheduled({ cron: "* * * * *", scheduledTime: 1 }, {}, ctx), "ran");
  assert.ok(new worker.Model() instanceof Model);
  assert.equal(worker.secret, "#scheduled");
  await settled();
  assert.deepEqual(names(), ["scheduled * * * * *"]);
});

test("a method called run is a workflow's only if its argument is a workflow's event", async () => {
  const { ctx, config, settled, named } = setUp();
  const Agent = withOpik(
    class Agent extends Base {
      run(prompt: string, onToken: (token: string) => string) {
        return [prompt, onToken("t")];
      }
    },
    config,
  );
  // An RPC stub answers every property with a method.
  const stub = new Proxy((token: string) => `got ${token}`, {
    get: (target, name) => Reflect.get(target, name) ?? (() => {}),
  });
  assert.deepEqual(new Agent(ctx, {}).run("summarise", stub), ["summarise", "got t"]);
  await settled();
  assert.ok(named("Agent.run"));
});

test("a workflow's steps keep all their arguments, are sent as they end, and an interrupted run has not failed", async () => {
  const { ctx, config, settled, exporter, named } = setUp();
  const given: unknown[][] = [];
  const sentBefore: string[][] = [];
  const step = {
    async do(name: string, ...rest: unknown[]) {
      given.push([name, ...rest.map((value) => typeof value)]);
      return (rest.find((value) => typeof value === "function") as (context: object) => unknown)({ attempt: 1 });
    },
    async sleep() {
      for (let n = 0; n < 20; n += 1) await Promise.resolve(); // a flush into memory takes that many turns
      sentBefore.push(exporter.spans.map(({ name }) => name as string));
      throw new Error("Aborting engine: User called pause");
    },
  };
  const Flow = withOpik(
    class Flow extends Base {
      async run(event: { payload: unknown }, steps: typeof step) {
        await steps.do("plain", async () => getTrackContext()?.span.id);
        await steps.do("undone", async (context: { attempt: number }) => context.attempt, { rollback: () => {} });
        await steps.do("all", { retries: 1 }, async () => 3, { rollback: () => {} });
        await steps.sleep();
        return event.payload;
      }
    },
    config,
  );
  const event = { payload: { n: 1 }, instanceId: "i1", timestamp: new Date(0) };
  await assert.rejects(new Flow(ctx, {}).run(event, step), /Aborting engine/);
  await settled();
  assert.deepEqual(given, [
    ["plain", "function"],
    ["undone", "function", "object"],
    ["all", "object", "function", "object"],
  ]);
  // The others follow within a second, or with the end.
  assert.deepEqual(sentBefore, [["plain"]]);
  assert.deepEqual(exporter.spans.map(({ name }) => name).sort(), ["Flow.run", "all", "plain", "undone"]);
  assert.equal(named("Flow.run")["error_info"], undefined);
  assert.deepEqual(named("Flow.run")["input"], { instanceId: "i1" });
});

test("an RPC that returns a stream ends when the stream has been read", async () => {
  const { ctx, config, settled, named, errors } = setUp();
  const Entry = withOpik(
    class Entry extends Base {
      ask(): ReadableStream<Uint8Array> {
        return span({ name: "llm", type: "llm" }, (llm) => {
          let n = 0;
          return new ReadableStream<Uint8Array>({
            type: "bytes",
            async pull(controller) {
              n += 1;
              if (n < 3) return controller.enqueue(new Uint8Array([n]));
              llm.update({ output: { text: "all" } });
              controller.close();
            },
          });
        });
      }
    },
    config,
  );
  const stream = new Entry(ctx, {}).ask();
  const reader = stream.getReader({ mode: "byob" });
  assert.deepEqual([...(await reader.read(new Uint8Array(4))).value!], [1], "a stream of bytes is one still");
  reader.releaseLock();
  for await (const _ of stream);
  await settled();
  assert.deepEqual(named("llm")["output"], { text: "all" });
  assert.ok(String(named("Entry.ask")["end_time"]) >= String(named("llm")["end_time"]));
  assert.deepEqual([named("llm")["metadata"], errors], [undefined, []]);
});

test("calls of one object wait for their own background work, not for each other's", async () => {
  const { ctx, config, exporter, names } = setUp();
  const waits: Promise<unknown>[] = [];
  const state = { waitUntil: (promise: Promise<unknown>) => void waits.push(promise) };
  const Traced = withOpik(
    class Counter extends Base {
      async work(name: string, background: Promise<unknown>) {
        state.waitUntil(background.then(() => span({ name: `after ${name}` }, () => {})));
        return name;
      }
    },
    config,
  );
  const counter = new Traced(state, {});
  let release = (): void => {};
  const long = new Promise<void>((resolve) => {
    release = resolve;
  });
  await counter.work("long", long);
  await counter.work("short", Promise.resolve());
  // The promises that were handed over: for each call its flush and its own work.
  assert.equal(waits.length, 4);
  await waits[2];
  assert.deepEqual(names(), ["after short", "Counter.work"]);
  release();
  await Promise.all(waits);
  assert.equal(exporter.spans.length, 4);
  void ctx;
});

test("in waitUntil, a span under the call's span is not misuse", async () => {
  const { ctx, config, settled, named, errors } = setUp();
  const worker = withOpik(
    {
      async fetch(_request: Request, _env: unknown, given: typeof ctx) {
        given.waitUntil(new Promise((resolve) => setTimeout(resolve, 1)).then(() => span({ name: "later" }, () => {})));
        return new Response();
      },
    },
    config,
  );
  await worker.fetch(new Request("http://localhost/x"), {}, ctx);
  await settled();
  assert.equal(named("later")["parent_span_id"], named("GET /x").id);
  assert.deepEqual(errors, []);
});

test("a stranger's message is not a context: neither as an argument, nor in a message that is sent on", async () => {
  const { ctx, config, settled, exporter } = setUp();
  const member = { "opik-edge": CALLER };
  const sent: unknown[] = [];
  const queue = { send: async (body: unknown) => void sent.push(body), metrics: () => "metrics" };
  const Entry = withOpik(
    class Entry extends Base {
      save(document: object) {
        return document;
      }
    },
    config,
  );
  assert.deepEqual(new Entry(ctx, {}).save(member), member);
  assert.deepEqual(withContext({ a: 1, ...member }), { a: 1 });
  await tracedQueue(queue).send({ a: 1, ...member } as never);
  assert.deepEqual(sent, [{ a: 1 }]);
  assert.equal(tracedQueue(queue).metrics(), "metrics");
  await settled();
  assert.ok(exporter.spans.every(({ trace_id }) => trace_id !== CALLER.opik_trace_id));
});

test("a disabled consumer sends nothing and loses nothing: every message comes again", async () => {
  const { exporter } = setUp();
  const told: unknown[] = [];
  const message = (body: unknown) => ({
    body,
    ack: () => void told.push("ack"),
    retry: (options?: object) => void told.push(options),
  });
  const rows = JSON.stringify({ spans: [{ id: "01a20612-0bcc-794c-8aba-f81361854650" }] });
  const batch = { messages: [message(rows), message("none of ours")] };
  const report = await deliverQueue(batch, { disabled: true, transport: exporter });
  assert.deepEqual(told, [{ delaySeconds: 3600 }, { delaySeconds: 3600 }]);
  assert.deepEqual([exporter.spans.length, report.requests, report.dropped, report.errors], [0, 0, {}, []]);
});

test("a traced queue hands on messages of any kind unchanged, except for the context", async () => {
  const { ctx, config, settled } = setUp();
  class Message {
    readonly #body: unknown;
    readonly contentType = "json";
    constructor(body: unknown) {
      this.#body = body;
    }
    get body() {
      return this.#body;
    }
    get delaySeconds() {
      return 7;
    }
  }
  const sent: { body: unknown; contentType?: string; delaySeconds?: number }[] = [];
  // Copies the members singly, as the platform does, including inherited members.
  const queue = {
    async sendBatch(messages: Iterable<{ body: unknown; contentType?: string; delaySeconds?: number }>) {
      for (const { body, contentType, delaySeconds } of messages) {
        sent.push({ body, ...(contentType && { contentType }), ...(delaySeconds && { delaySeconds }) });
      }
    },
    async send() {},
  };
  const worker = withOpik(
    {
      async scheduled(_controller: object, _env: unknown, _ctx: typeof ctx) {
        const date = new Date(0);
        const messages = new Set<object>([new Message({ a: 1 }), Object.freeze({ body: "text" }), { body: date }]);
        await tracedQueue(queue as never as { send(body: never): Promise<unknown> } & typeof queue).sendBatch(
          messages as never,
        );
        assert.equal(sent[2]!.body, date, "a value that cannot carry a context stays the same");
      },
    },
    config,
  );
  await worker.scheduled({ cron: "1", scheduledTime: 1 }, {}, ctx);
  await settled();
  const [first, ...rest] = sent;
  assert.deepEqual(first, {
    body: { a: 1, "opik-edge": (first!.body as Record<string, unknown>)["opik-edge"] },
    contentType: "json",
    delaySeconds: 7,
  });
  assert.ok((first!.body as Record<string, unknown>)["opik-edge"]);
  assert.deepEqual(rest, [{ body: "text" }, { body: new Date(0) }]);
  assert.equal((tracedQueue(queue as never) as object).constructor, Object);
  // Bindings from the time before batches have no method for them.
  assert.equal("sendBatch" in tracedQueue({ send: async () => {} }), false);
  assert.equal((tracedQueue({ send: async () => {} }) as { sendBatch?: unknown }).sendBatch, undefined);
});

test("a queue that refuses a short message is not asked again, and a long message goes without its context", async () => {
  const { ctx, config, settled } = setUp();
  const refused = new Error("no");
  const sent: unknown[] = [];
  const queue = {
    async send(body: object) {
      sent.push(body);
      if ("opik-edge" in body) throw refused;
    },
  };
  const short = { text: "x".repeat(19_000) };
  const long = [{ text: "x".repeat(21_000) }, { ["x".repeat(21_000)]: 1 }, { map: new Map([["a", 1]]) }];
  const worker = withOpik(
    {
      async scheduled(_controller: object, _env: unknown, _ctx: typeof ctx) {
        await assert.rejects(tracedQueue(queue).send(short as never), refused);
        assert.equal(sent.splice(0).length, 1);
        for (const body of long) {
          await tracedQueue(queue).send(body as never);
          assert.equal(sent.splice(0)[1], body);
        }
      },
    },
    config,
  );
  await worker.scheduled({ cron: "1", scheduledTime: 1 }, {}, ctx);
  await settled();
});

test("a stub that is traced twice is traced once", async () => {
  const { ctx, config, settled, names } = setUp();
  const stub = { greet: async (...args: unknown[]) => args };
  const worker = withOpik(
    {
      async scheduled(_controller: object, _env: unknown, _ctx: typeof ctx) {
        const args = await tracedRpc(tracedRpc(stub)).greet("ann");
        assert.equal(args.length, 2);
        assert.ok(args[1] instanceof Map, "a value without a form in JSON");
      },
    },
    config,
  );
  await worker.scheduled({ cron: "1", scheduledTime: 1 }, {}, ctx);
  await settled();
  assert.deepEqual(names(), ["greet", "scheduled 1"]);
});
