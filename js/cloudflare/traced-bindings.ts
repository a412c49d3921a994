// Bindings that pass the trace on: a queue in its messages, an RPC stub in an extra argument. Each is opt-in, because the other
// side sees the addition. `fetch` of a binding passes headers on: see the option `via` of `Span.fetch`.

import { span } from "../current.js";
import { isPlainPromise } from "../platform/promise.js";
import { currentFrame } from "../record/frame.js";
import { isPlain, roomBehind } from "../record/json.js";
import type { Span } from "../record/model.js";
import { settle } from "./batch.js";
import { contextArgument, passedOn, takeContext, withContext } from "./carried-context.js";

/** The used part of a queue's binding. */
interface Sends {
  send(body: never, options?: never): Promise<unknown>;
  sendBatch?(messages: never, options?: never): Promise<unknown>;
}

/**
 * `queue`, with the current span in a member `opik-edge` of its messages. Only plain objects carry it, and only if the message or
 * batch is not too long for the platform with it.
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

/** Bodies of fewer characters are always short enough: the platform allows 128,000 bytes, up to six per character. */
const SHORT_CHARS = 20_000;

/** Sends bodies with the current context. If the platform refuses long ones, it sends them again without the context. */
function sendTraced(given: readonly unknown[], send: (bodies: readonly unknown[]) => unknown): unknown {
  const own = given.map((body) => takeContext(body).value);
  const carrying = own.map(withContext);
  const sent = send(carrying);
  if (!isPlainPromise(sent) || carrying.every((body, at) => body === own[at])) return sent;
  // The platform's errors give no reason, and the size of its format cannot be measured.
  return sent.catch((error) => {
    if (roomBehind(own, undefined, 0, SHORT_CHARS) >= 0) throw error;
    return send(own);
  });
}

/** `message` with another body. A proxy keeps inherited members, which the platform reads too. */
function withBody(message: Message, body: unknown): Message {
  if (isPlain(message)) return { ...message, body };
  return new Proxy({ body }, { get: (_, name) => (name === "body" ? body : Reflect.get(message, name)) });
}

/** The used part of a queue's message. */
export interface ReceivedMessage<B> {
  /** The message's id, recorded as input. */
  readonly id: string;
  /** The body. A plain object may carry a context. */
  readonly body: B;
  /** Number of deliveries, including this one; recorded as input. */
  readonly attempts?: number;
}

/**
 * Handles one message in a span under its sender's span, or under the current span if it carries no context. `fn` receives the body
 * without the context.
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

/** Names that are not methods of the other side. */
const OWN: readonly PropertyKey[] = ["then", "dup", "constructor", "fetch", "connect", "toJSON"];

/** The methods of a stub with traced calls. The other side's properties are not available. */
export type TracedRpc<S> = {
  [K in keyof S as S[K] extends (...args: never[]) => unknown ? K : never]: S[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

const stubs = new WeakSet<object>();

/** The class name of a platform object. Calls nothing: every property of a stub is a remote method. */
function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** The used part of a Durable Object's namespace. */
interface Namespace {
  /** Throws for the id of another namespace. */
  idFromString(id: string): unknown;
}

function isOf(id: string, namespace: unknown): boolean {
  try {
    return kindOf(namespace).endsWith("ObjectNamespace") && !!(namespace as Namespace).idFromString(id);
  } catch {
    return false;
  }
}

/** Prefix of span names: `Room.`, after the class of `stub` in `ctx.exports` or its binding in `env`; else "". Never throws. */
function prefixOf(stub: object): string {
  try {
    const id = kindOf(stub) === "DurableObject" && `${(stub as { readonly id: unknown }).id}`;
    // An invocation masks its env and then its ctx. Reversed, so that ctx comes first.
    for (const object of [...(currentFrame()?.scope.masks?.keys() ?? [])].reverse()) {
      for (const holder of [(object as { readonly exports?: unknown }).exports, object]) {
        for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(holder ?? {}))) {
          if (value === stub || (id && isOf(id, value))) return `${name}.`;
        }
      }
    }
  } catch {
    // Not a stub of the platform.
  }
  return "";
}

/**
 * Wraps `stub` so that each method call is a span, which the other side joins: `Room.count`, after the class in `ctx.exports`, else
 * the binding in `env`. The other side must be a class wrapped with `withOpik`, which removes the extra argument. Calls return
 * plain promises, which cannot be pipelined; the traced stub itself cannot be sent. Wrapping twice has no further effect.
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
