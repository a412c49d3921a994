// A Worker that is called in every possible way. Each handler and class is wrapped and reports the span that it ran under.

import {
  DurableObject,
  WorkerEntrypoint,
  WorkflowEntrypoint,
  type WorkflowEvent,
  type WorkflowStep,
} from "cloudflare:workers";
import { fetch, getTrackContext, span } from "opik-edge";
import { tracedQueue, tracedRpc, traceMessage, withContext, withOpik } from "opik-edge/cloudflare";

interface Env {
  COUNTER: DurableObjectNamespace<Counter>;
  TALLY: DurableObjectNamespace<Tally>;
  ENTRY: Service<Entry>;
  AGAIN: Service<Entry>;
  JOBS: Queue<unknown>;
  FLOW: Workflow;
}

const config = () => ({ projectName: "faces" });

export const Entry = withOpik(
  class Entry extends WorkerEntrypoint<Env> {
    #calls = 0;

    async greet(name: string, ...rest: unknown[]) {
      this.#calls += 1;
      await pause();
      span({ name: "in greet" }, () => {});
      return { text: this.shout(name), calls: this.#calls, rest: rest.length, env: "COUNTER" in this.env };
    }

    /** A public method, callable from outside. Called from inside it opens no span. */
    shout(name: string): string {
      return `${name.toUpperCase()}!`;
    }

    tell(): ReadableStream<Uint8Array> {
      return span({ name: "llm", type: "llm" }, (llm) => {
        const words = ["one ", "two"];
        return new ReadableStream<Uint8Array>({
          type: "bytes" as never,
          async pull(controller) {
            await pause();
            const word = words.shift();
            if (word) return controller.enqueue(new TextEncoder().encode(word));
            llm.update({ output: { said: "one two" } });
            controller.close();
          },
        });
      });
    }

    fails(): never {
      throw new TypeError("from the entrypoint");
    }

    override async fetch(request: Request) {
      return Response.json({ path: new URL(request.url).pathname, trace: getTrackContext()?.trace.id });
    }
  },
  config,
);
type Entry = InstanceType<typeof Entry>;

export const Counter = withOpik(
  class Counter extends DurableObject<Env> {
    count = 0;
    ready = "not yet";

    constructor(ctx: DurableObjectState, env: Env) {
      super(ctx, env);
      ctx.blockConcurrencyWhile(async () => {
        await ctx.storage.get("count");
        // Calls from inside keep their results, even before any call has come from outside.
        this.ready = this.describe();
      });
    }

    describe(): string {
      return "ready";
    }

    override async fetch(request: Request) {
      if (request.headers.has("upgrade")) {
        const { 0: client, 1: server } = new WebSocketPair();
        this.ctx.acceptWebSocket(server);
        return new Response(null, { status: 101, webSocket: client });
      }
      await fetch(`https://never.test/`, { opik: { via: this.env.ENTRY } }).then((response) => response.text());
      return Response.json({ count: this.add(1), ready: this.ready });
    }

    add(n: number): number {
      this.count += n;
      return this.count;
    }

    async wake() {
      await this.ctx.storage.setAlarm(Date.now());
    }

    override async alarm() {
      await span({ name: "in alarm" }, () => pause());
    }

    override webSocketMessage(socket: WebSocket, message: string) {
      span({ name: "in message" }, () => socket.send(`echo ${message}`));
    }

    override webSocketClose(socket: WebSocket) {
      socket.close(1000, "done");
    }
  },
  config,
);
type Counter = InstanceType<typeof Counter>;

export const Tally = withOpik(
  class Tally extends DurableObject<Env> {
    add(n: number): number {
      return n + 1;
    }
  },
  config,
);
type Tally = InstanceType<typeof Tally>;

export const Flow = withOpik(
  class Flow extends WorkflowEntrypoint<Env, { n: number }> {
    override async run(event: WorkflowEvent<{ n: number }>, step: WorkflowStep) {
      const doubled = await step.do("double", async () => event.payload.n * 2);
      await step.sleep("a moment", 1);
      return step.do("report", { retries: { limit: 1, delay: 1 } }, async () => ({
        doubled,
        members: Object.keys(event.payload),
      }));
    }
  },
  config,
);

const counter = (env: Env) => env.COUNTER.get(env.COUNTER.idFromName("one"));

/** Calls stubs of every origin, one after the other. */
async function callStubs(env: Env, exports: { readonly Entry: Service<Entry> }): Promise<unknown[]> {
  const { COUNTER, TALLY, ENTRY, AGAIN } = env;
  return [
    await tracedRpc(COUNTER.getByName("fresh")).add(0),
    await tracedRpc(COUNTER.get(COUNTER.idFromName("fresh"))).add(0),
    await tracedRpc(COUNTER.get(COUNTER.newUniqueId())).add(0),
    await tracedRpc(TALLY.getByName("fresh")).add(0),
    (await tracedRpc(ENTRY).greet("ann")).text,
    (await tracedRpc(AGAIN).greet("bob")).text,
    (await tracedRpc(exports.Entry).greet("cat")).text,
    await tracedRpc({ double: async () => "a double's" }).double(),
  ];
}

const routes: Record<string, (request: Request, env: Env, ctx: ExecutionContext) => Promise<unknown>> = {
  "/rpc": (_, env) => tracedRpc(env.ENTRY).greet("ann"),
  "/rpc-stream": async (_, env) => new Response(await tracedRpc(env.ENTRY).tell()).text(),
  "/plain-rpc": (_, env) => env.ENTRY.greet("ann", { a: 1 }),
  "/rpc-fails": (_, env) => tracedRpc(env.ENTRY).fails() as unknown as Promise<unknown>,
  "/binding": async (_, env) => (await fetch("https://entry.test/there", { opik: { via: env.ENTRY } })).json(),
  "/object": async (_, env) => (await fetch("https://object.test/", { opik: { via: counter(env) } })).json(),
  "/object-rpc": async (_, env) => ({ count: await tracedRpc(counter(env)).add(10) }),
  "/stubs": (_, env, ctx) => callStubs(env, ctx.exports as unknown as { Entry: Service<Entry> }),
  "/many": async (_, env) => {
    for (let n = 0; n < 500; n += 1) await counter(env).add(0);
    return counter(env).add(0);
  },
  "/alarm": async (_, env) => counter(env).wake(),
  "/send": async (_, env) => {
    const jobs = tracedQueue(env.JOBS);
    await jobs.send({ job: 1 });
    await jobs.sendBatch([{ body: { job: 2 } }, { body: "a text", contentType: "text" }]);
  },
  "/flow": async (_, env) => {
    const instance = await env.FLOW.create({ params: withContext({ n: 21 }) });
    return { id: instance.id };
  },
  "/flow-status": async (request, env) => (await env.FLOW.get(new URL(request.url).searchParams.get("id")!)).status(),
};

const worker = withOpik(
  {
    async fetch(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
      const { pathname } = new URL(request.url);
      if (pathname === "/socket") return fetch(request, { opik: { via: counter(env) } });
      // Called directly, as the platform calls a tail Worker.
      if (pathname === "/tail") await worker.tail([{}, {}] as TraceItem[], env, ctx);
      const result = await routes[pathname]?.(request, env, ctx);
      return Response.json({ trace: getTrackContext()?.trace.id, result });
    },
    async scheduled(_controller: ScheduledController, _env: Env, ctx: ExecutionContext) {
      ctx.waitUntil(span({ name: "in scheduled" }, () => pause()));
    },
    async queue(batch: MessageBatch<unknown>) {
      for (const message of batch.messages) {
        await traceMessage(message, async (body, current) => {
          current.update({ output: { body } });
          message.ack();
        });
      }
    },
    async tail(_events: TraceItem[], _env: Env, _ctx: ExecutionContext) {},
    async email(message: ForwardableEmailMessage) {
      if (message.to.startsWith("nobody")) throw new RangeError("no such mailbox");
    },
  },
  config,
);
export default worker;

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
