// Bindings that hand the trace on: a queue in its messages, an RPC stub in a further argument. Opt-in for each binding, since
// the other side sees it; `fetch` of a binding hands headers on: see the option `via` of `Span.fetch`.

import { span } from "../current.js";
import { isPlainPromise } from "../platform/promise.js";
import { currentFrame } from "../record/frame.js";
import { isPlain, roomBehind } from "../record/json.js";
import type { Span } from "../record/model.js";
import { settle } from "./batch.js";
import { contextArgument, passedOn, takeContext, withContext } from "./carried-context.js";

/** What a traced queue needs of a queue's binding. */
interface Sends {
  send(body: never, options?: never): Promise<unknown>;
  sendBatch?(messages: never, options?: never): Promise<unknown>;
}

/**
 * `queue`, whose messages carry the current span in a member `opik-edge`. Those that are no plain objects go as they are, and so
 * does a message, or a whole batch, that is too long for the platform with the member in it.
 *
 * @example
 * ```ts
 * import { tracedQueue, withOpik } from "opik-edge/cloudflare";
 *
 * interface Env {
 *   JOBS: Queue<{ page: string }>;
 * }
 *
 * export default withOpik({
 *   async fetch(request: Request, env: Env): Promise<Response> {
 *     await tracedQueue(env.JOBS).send({ page: new URL(request.url).pathname });
 *     return new Response("queued");
 *   },
 * });
 * ```
 */
export function tracedQueue<Q extends Sends>(queue: Q): Q {
  const send = (body: unknown, options?: unknown): unknown =>
    sendTraced([body], ([carrying]) => queue.send(carrying as never, options as never));
  const sendBatch = (messages: Iterable<Message>, options?: unknown): unknown => {
    const all = [...messages];
    const given = all.map(({ body }) => body);
    return sendTraced(given, (bodies) =>
      queue.sendBatch?.(
        all.map((message, at) => (bodies[at] === given[at] ? message : withBody(message, bodies[at]))) as never,
        options as never,
      ),
    );
  };
  return new Proxy(queue, {
    get(target, name) {
      if (name === "send") return send;
      return name === "sendBatch" && target.sendBatch ? sendBatch : passedOn(target, name);
    },
  });
}

/** A message of a batch. */
interface Message {
  readonly body: unknown;
}

/** What bodies have less of is short for certain, in characters: the platform takes 128,000 bytes, and one of JSON may take six. */
const SHORT_CHARS = 20_000;

/** Sends bodies with the current context in them, and without where the platform refuses what may have become too long. */
function sendTraced(given: readonly unknown[], send: (bodies: readonly unknown[]) => unknown): unknown {
  const own = given.map((body) => takeContext(body).value);
  const carrying = own.map(withContext);
  const sent = send(carrying);
  if (!isPlainPromise(sent) || carrying.every((body, at) => body === own[at])) return sent;
  // Its errors do not tell why, and its own format can not be measured.
  return sent.catch((error) => {
    if (roomBehind(own, undefined, 0, SHORT_CHARS) >= 0) throw error;
    return send(own);
  });
}

/** `message` with another body. The platform reads inherited members too, and so does what it is given. */
function withBody(message: Message, body: unknown): Message {
  if (isPlain(message)) return { ...message, body };
  return new Proxy({ body }, { get: (_, name) => (name === "body" ? body : Reflect.get(message, name)) });
}

/** What is needed of a queue's message. */
export interface ReceivedMessage<B> {
  /** Recorded as input. */
  readonly id: string;
  /** A plain object may carry a context. */
  readonly body: B;
  /** How often it was delivered, this time included; recorded as input. */
  readonly attempts?: number;
}

/**
 * Handles one message in a span under the span that has sent it, or under the current one where it carries none. `fn` is
 * given the message's body as it was sent.
 *
 * @example
 * ```ts
 * import { traceMessage, withOpik } from "opik-edge/cloudflare";
 *
 * export default withOpik({
 *   async queue(batch: MessageBatch<{ page: string }>): Promise<void> {
 *     for (const message of batch.messages) {
 *       await traceMessage(message, async ({ page }, span) => {
 *         span.update({ output: { page } });
 *         message.ack();
 *       });
 *     }
 *   },
 * });
 * ```
 */
export function traceMessage<B, T>(message: ReceivedMessage<B>, fn: (body: B, span: Span) => T): T {
  const { value, caller } = takeContext(message.body);
  const { id, attempts } = message;
  if (caller) settle(message);
  const options = { name: "message", input: { id, attempts }, ...(caller && { parent: caller }) };
  return span(options, (current) => fn(value, current));
}

/** Names that are no methods of the other side. */
const OWN: readonly PropertyKey[] = ["then", "dup", "constructor", "fetch", "connect", "toJSON"];

/** A stub's methods, as calls of them are traced; the other side's properties are not to be had. */
export type TracedRpc<S> = {
  [K in keyof S as S[K] extends (...args: never[]) => unknown ? K : never]: S[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

const stubs = new WeakSet<object>();

/** What kind of object of the platform's `value` is. Nothing is called: every property of a stub is a method of the other side. */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What is needed of a Durable Object's namespace. */
interface Namespace {
  /** Throws where the id is another namespace's. */
  idFromString(id: string): unknown;
}

function isOf(id: string, namespace: unknown): boolean {
  try {
    return kindOf(namespace).endsWith("ObjectNamespace") && !!(namespace as Namespace).idFromString(id);
  } catch {
    return false;
  }
}

/** `Room.`: the class behind `stub` where `ctx.exports` has it, else the binding in `env`; "" for any other stub. Never throws. */
function prefixOf(stub: object): string {
  try {
    const id = kindOf(stub) === "DurableObject" && `${(stub as { readonly id: unknown }).id}`;
    // What an invocation masks is its env, then its ctx.
    for (const object of [...(currentFrame()?.scope.masks?.keys() ?? [])].reverse()) {
      for (const holder of [(object as { readonly exports?: unknown }).exports, object]) {
        for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(holder ?? {}))) {
          if (value === stub || (id && isOf(id, value))) return `${name}.`;
        }
      }
    }
  } catch {
    // It is no stub of the platform's.
  }
  return "";
}

/**
 * `stub`, each of whose method calls is a span that the other side joins: `Room.count`, after the class where `ctx.exports` has it,
 * else after the binding in `env`. The other side has to be a class that `withOpik` has
 * wrapped: it is given a further argument, and takes it away again. Calls give plain promises, which can not be pipelined; the
 * traced stub itself can not be sent. Wrapping twice wraps once.
 *
 * @example
 * ```ts
 * import { DurableObject } from "cloudflare:workers";
 * import { tracedRpc, withOpik } from "opik-edge/cloudflare";
 *
 * interface Env {
 *   COUNTER: DurableObjectNamespace<InstanceType<typeof Counter>>;
 * }
 *
 * export const Counter = withOpik(
 *   class Counter extends DurableObject<Env> {
 *     async add(n: number): Promise<number> {
 *       return n + 1;
 *     }
 *   },
 * );
 *
 * export default withOpik({
 *   async fetch(_request: Request, env: Env): Promise<Response> {
 *     const count = await tracedRpc(env.COUNTER.getByName("visits")).add(1);
 *     return Response.json({ count });
 *   },
 * });
 * ```
 */
export function tracedRpc<S extends object>(stub: S): TracedRpc<S> {
  if (stubs.has(stub)) return stub as TracedRpc<S>;
  let prefix = "";
  const traced = new Proxy(stub, {
    get(target, name) {
      const method = passedOn(target, name);
      if (typeof name !== "string" || OWN.includes(name) || typeof method !== "function") return method;
      return (...args: unknown[]) => {
        prefix ||= prefixOf(stub);
        return span({ name: prefix + name }, (call) => {
          const context = contextArgument(call);
          return method(...(context ? [...args, context] : args));
        });
      };
    },
  });
  stubs.add(traced);
  return traced as TracedRpc<S>;
}
