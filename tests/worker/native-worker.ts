// The Worker of native.test.ts. Its spans have twins in Cloudflare's own tracing.

import { DurableObject, tracing, WorkerEntrypoint } from "cloudflare:workers";
import { fetch, getTrackContext, type Span, span } from "opik-edge";
import { tracedQueue, tracedRpc, traceMessage, withOpik } from "opik-edge/cloudflare";

interface Env {
  UPSTREAM: string;
  NATIVE: "on" | "off" | "nonsense";
  SAMPLE_RATE: string;
  ROOM: DurableObjectNamespace<InstanceType<typeof Room>>;
  ENTRY: Service<typeof Entry>;
  QUEUE: Queue<{ name: string }>;
}

const pause = (ms = 2): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** The id of the current span, or `null`. */
const here = (): string | null => getTrackContext()?.span.id ?? null;

const config = (env: Env) => ({
  native: (env.NATIVE === "nonsense" ? "yes" : env.NATIVE === "on") as boolean,
  sampleRate: Number(env.SAMPLE_RATE),
  redact: { patterns: [/secret-\d+/] },
});

/** Two levels of spans, each opened after an `await`, and a call under the inner one. */
async function nested(env: Env, prefix: string): Promise<void> {
  await pause();
  await span({ name: `${prefix} outer` }, async () => {
    await pause();
    await span({ name: `${prefix} inner` }, async () => {
      await pause(5);
      await (await fetch(`${env.UPSTREAM}/json`)).text();
    });
    await pause();
    span({ name: `${prefix} second` }).end();
  });
}

const routes: Record<string, (url: URL, env: Env, ctx: ExecutionContext) => Response | Promise<Response>> = {
  "/nested": async (url, env) => {
    await nested(env, url.searchParams.get("name")!);
    return new Response("done");
  },
  "/parallel": async () => {
    await Promise.all(
      ["a", "b", "c"].map((name) =>
        span({ name }, async () => {
          await pause();
          await span({ name: `${name} child` }, () => pause(3));
        }),
      ),
    );
    return new Response("done");
  },
  "/theirs": async (url) => {
    const name = url.searchParams.get("name")!;
    const root = here();
    const seen: unknown[] = [];
    await span({ name: `${name} ours` }, async () => {
      await pause();
      await tracing.enterSpan(`${name} theirs`, async () => {
        await pause(20);
        await span({ name: `${name} in theirs` }, async () => {
          await pause();
          span({ name: `${name} deepest` }).end();
        });
      });
      await pause();
      seen.push(here());
      tracing.startActiveSpan(`${name} sync`, (theirs) => {
        span({ name: `${name} in sync` }).end();
        theirs.end();
      });
    });
    return Response.json({ root, seen });
  },
  "/stream": () => {
    let n = 0;
    return span(
      { name: "streamed" },
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              await pause();
              span({ name: `pull ${n}` }).end();
              if (n++ === 2) controller.close();
              else controller.enqueue(new TextEncoder().encode(`${n}`));
            },
          }),
        ),
    );
  },
  "/timer": async () => {
    await span({ name: "sets a timer" }, async () => {
      await pause();
      await new Promise<void>((resolve) => {
        setTimeout(() => {
          span({ name: "in a timer" }).end();
          resolve();
        }, 2);
      });
    });
    return new Response("done");
  },
  "/error": async () => {
    const error = new Error("of the host");
    const caught = await span({ name: "fails" }, async () => {
      await pause();
      throw error;
    }).catch((thrown: unknown) => thrown);
    return new Response(`${caught === error}`);
  },
  "/model": () => {
    const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
    span({ name: "chat", type: "llm", model: null as never, usage: null as never }).end();
    span({ name: "ask secret-123", type: "llm", model: "gpt-4.1", provider: "openai", usage }).end();
    return new Response("done");
  },
  "/names": (url) => {
    for (const name of url.searchParams.getAll("name")) span({ name }).end();
    span().end();
    return new Response("done");
  },
  "/explicit": () => {
    const parent = span({ name: "parent" });
    const child = parent.span({ name: "child of an open span" });
    child.end();
    parent.end();
    return new Response("done");
  },
  "/renamed": () => {
    const renamed = span({ name: "before" });
    renamed.update({ name: "after secret-123" });
    renamed.end();
    return new Response("done");
  },
  "/other-trace": async () => {
    // Further traces. Not all are sampled.
    const root = here();
    await pause();
    const seen: boolean[] = [];
    for (let n = 0; n < 8; n++) {
      await span({ name: "other", parent: null }, () => pause(1));
      seen.push(here() === root);
    }
    return Response.json({ root, seen });
  },
  "/send": async (_url, env) => {
    await tracedQueue(env.QUEUE).sendBatch([{ body: { name: "m1" } }, { body: { name: "m2" } }]);
    return new Response("done");
  },
  "/socket": async (_url, env) => {
    const room = env.ROOM.getByName("a");
    const { webSocket } = await room.fetch("http://room/", { headers: { upgrade: "websocket" } });
    webSocket!.accept();
    const answered = new Promise((resolve) => webSocket!.addEventListener("message", resolve));
    webSocket!.send("hello");
    await answered;
    return new Response("done");
  },
  "/late": async (_url, _env, ctx) => {
    await span({ name: "answers early" }, async () => {
      ctx.waitUntil(
        (async () => {
          await pause(10);
          span({ name: "afterwards" }).end();
        })(),
      );
    });
    return new Response("done");
  },
  "/platform": async () => {
    // Inside a span the host sees its twin, and outside the invocation's span.
    const outside = tracing.getActiveSpan();
    const inside = await span({ name: "outer" }, async () => {
      await pause();
      return tracing.getActiveSpan();
    });
    return Response.json({ isSame: outside === tracing.getActiveSpan(), isOther: inside !== outside });
  },
  "/room": async (url, env) => {
    await tracedRpc(env.ROOM.getByName("a")).visit(url.searchParams.get("name")!);
    return new Response("done");
  },
  "/rooms": async (_url, env) => {
    const room = tracedRpc(env.ROOM.getByName("a"));
    return Response.json(await Promise.all([room.inTheirs(), room.inTheirs(), room.inTheirs()]));
  },
  "/entry": async (_url, env) => {
    await tracedRpc(env.ENTRY).work();
    return new Response("done");
  },
};

let kept: Span | undefined;
routes["/keep"] = () => {
  kept = span({ name: "kept" });
  return new Response("kept");
};
routes["/misuse"] = async () => {
  // A span of another request: its native span refuses every use.
  const seen = await kept!.span({ name: "late" }, async () => {
    await pause();
    return "ran";
  });
  kept!.end();
  return new Response(seen);
};

export const Room = withOpik(
  class Room extends DurableObject<Env> {
    async visit(name: string): Promise<void> {
      await nested(this.env, name);
    }

    override async fetch(): Promise<Response> {
      const { 0: client, 1: server } = new WebSocketPair();
      this.ctx.acceptWebSocket(server);
      return new Response(null, { status: 101, webSocket: client });
    }

    override async webSocketMessage(socket: WebSocket): Promise<void> {
      await nested(this.env, "socket");
      socket.send("done");
    }

    /** The root's id, and the current span's after an `await` inside a native span of the host's. */
    async inTheirs(): Promise<unknown> {
      const root = here();
      return tracing.enterSpan("theirs", async () => {
        await pause(20);
        return { root, seen: here() };
      });
    }
  },
  config,
);

export const Entry = withOpik(
  class Entry extends WorkerEntrypoint<Env> {
    async work(): Promise<void> {
      await nested(this.env, "entry");
    }
  },
  config,
);

export default withOpik<ExportedHandler<Env, { name: string }>>(
  {
    fetch(request, env, ctx) {
      const url = new URL(request.url);
      return routes[url.pathname]!(url, env, ctx);
    },
    async scheduled(_controller, env) {
      await nested(env, "cron");
    },
    async queue(batch) {
      for (const message of batch.messages) {
        await traceMessage(message, async ({ name }) => {
          await pause();
          await span({ name: `${name} inner` }, () => pause());
        });
      }
    },
  },
  config,
);
