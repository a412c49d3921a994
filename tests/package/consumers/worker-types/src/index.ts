// A Worker whose `Env` is the one that `wrangler types` generates: each way to export a wrapped class, and to wrap a handler.

import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint, type WorkflowEvent } from "cloudflare:workers";
import { tracedRpc, withOpik } from "opik-edge/cloudflare";

/** As the guide writes it. */
export const Room = withOpik(
  class Room extends DurableObject<Env> {
    async count(n: number): Promise<number> {
      return n + this.env.LLM_URL.length;
    }
  },
  (env, trigger) => ({ url: env.LLM_URL, sampleRate: trigger.type === "rpc" ? 0.1 : 1 }),
);
export type Room = InstanceType<typeof Room>;

/** A class with a name of its own. */
class NamedRoom extends DurableObject<Env> {
  async count(n: number): Promise<number> {
    return n;
  }
}
export const Named = withOpik(NamedRoom);
export type Named = NamedRoom;

/** A class that has everything from the one that is wrapped. */
export class Subclass extends withOpik(NamedRoom) {}

/** Without its type: whatever it is asked for is `any`. */
export const Bare = withOpik(
  class Bare extends DurableObject<Env> {
    async count(n: number): Promise<number> {
      return n;
    }
  },
);

/** Of an entrypoint, and of a workflow, the value is enough for its binding. */
export const Search = withOpik(
  class Search extends WorkerEntrypoint<Env> {
    async find(text: string): Promise<string> {
      return text;
    }
  },
);
export const Flow = withOpik(
  class Flow extends WorkflowEntrypoint<Env, { n: number }> {
    override async run(event: WorkflowEvent<{ n: number }>) {
      return event.payload.n;
    }
  },
);
export type Flow = InstanceType<typeof Flow>;

export default withOpik(
  {
    async fetch(request, env, ctx) {
      ctx.waitUntil(Promise.resolve(request.cf?.colo));
      const rooms = [env.ROOM.getByName("a"), env.NAMED.getByName("a"), env.SUBCLASS.getByName("a")] as const;
      for (const room of rooms) {
        const count: number = await room.count(1);
        const traced: number = await tracedRpc(room).count(count);
        // @ts-expect-error -- what a method takes stays what it takes
        await room.count(`${traced}`);
        // @ts-expect-error -- there is no such method
        await room.close();
      }
      const found: string = await env.SEARCH.find("a");
      const traced: string = await tracedRpc(env.SEARCH).find(found);
      // @ts-expect-error -- there is no such method
      await env.SEARCH.close();
      const { id } = await env.FLOW.create({ params: { n: 1 } });
      // @ts-expect-error -- there is no such variable
      env.NOTHING;
      return new Response(`${traced} ${id} ${env.LLM_URL}`);
    },
    async queue(batch, env) {
      console.log(batch.queue, env.LLM_URL);
    },
  } satisfies ExportedHandler<Env>,
  (env) => ({ url: env.LLM_URL }),
);

/** The same with the type as an argument. */
export const explicit: ExportedHandler<Env> = withOpik<ExportedHandler<Env>>(
  {
    async fetch(request, env) {
      // @ts-expect-error -- there is no such variable
      env.NOTHING;
      return new Response(env.LLM_URL + request.url);
    },
  },
  (env) => ({ url: env.LLM_URL }),
);
// @ts-expect-error -- a mistyped setting
export const mistyped = withOpik<ExportedHandler<Env>>({}, { projctName: "shop" });
// @ts-expect-error -- there is no such variable for the settings either
export const unknown = withOpik<ExportedHandler<Env>>({}, (env) => ({ url: env.NOTHING }));
