// The Workers AI binding, whose calls do not use the Worker's `fetch`. `run`, and `run` of its gateways, are replaced in place,
// because a Proxy of the binding fails at its private members. Answers stay as they are; streams are watched as for a `fetch`.

import { namedError } from "../errors.js";
import { startSpan } from "../opik.js";
import { isPlainPromise } from "../platform/promise.js";
import type { Ending } from "../record/ending.js";
import { endCall, watchAnswer } from "../record/fetch.js";
import { currentFrame } from "../record/frame.js";
import { toJson } from "../record/json.js";
import type { BegunCall } from "../record/model.js";
import { followCall } from "../record/observed.js";
import { watchStream } from "../record/stream.js";
import { followModelCall, type ResolvedOptions } from "./model-call.js";
import { GATEWAY_HOST } from "./paths.js";
import { SEPARATOR } from "./reader.js";

/** The used part of a Workers AI binding. */
export interface AiBinding {
  /** Calls a model. */
  run(...args: never[]): unknown;
  /** Returns a gateway, whose `run` calls one of several models. */
  gateway?(...args: never[]): unknown;
}

const NO_OPTIONS: ResolvedOptions = { hosts: [], hostLines: "", includeUsage: false };

/** Objects whose methods are replaced. */
const observed = new WeakSet<object>();

/**
 * Records each `run` of a Workers AI binding and of its gateways, while a span is current, as a span of type `llm`. It changes the
 * binding in place and returns it; a second call has no effect. `withOpik` calls it for you if `llm()` is among its observers. A
 * call with `websocket: true` is not recorded.
 *
 * @example
 * ```ts
 * import { Opik } from "opik-edge";
 * import { observeAi } from "opik-edge/llm";
 *
 * interface Env {
 *   AI: { run(model: string, inputs: object): Promise<{ response: string }> };
 * }
 *
 * export async function ask(env: Env, prompt: string): Promise<string> {
 *   const opik = new Opik({ env });
 *   const ai = observeAi(env.AI);
 *   const answer = await opik.span({ name: "ask" }, () => ai.run("@cf/meta/llama-3.2-1b-instruct", { prompt }));
 *   await opik.flush();
 *   return answer.response;
 * }
 * ```
 */
export function observeAi<A extends AiBinding>(ai: A): A {
  if (observed.has(ai)) return ai;
  observed.add(ai);
  const logId = (): unknown => (ai as { readonly aiGatewayLogId?: unknown }).aiGatewayLogId;
  replace(ai, "run", (run, [model, inputs, options]) => {
    const call = quietly(() => {
      const { gateway, signal, websocket } = Object(options) as RunOptions;
      const own = {
        name: `AI.run ${model}`,
        url: `binding:${`${model}`.replaceAll(SEPARATOR, "")}`,
        inputs,
        signal,
        gatewayId: gateway?.id,
        logId,
      };
      return websocket ? undefined : own;
    });
    return traced(run, call);
  });
  replace(ai, "gateway", (make, [id]) => {
    const gateway = make() as AiBinding;
    // An RPC stub seems to have every member, so check the class.
    if (classOf(gateway) === "AiGateway" && !observed.has(gateway)) {
      observed.add(gateway);
      replace(gateway, "run", (run, [inputs, options]) => {
        const call = quietly(() => {
          const { signal } = Object(options) as RunOptions;
          return { name: `AI.gateway ${id}`, url: `https://${GATEWAY_HOST}/v1/binding/binding`, inputs, signal };
        });
        return traced(run, call);
      });
    }
    return gateway;
  });
  return ai;
}

/** The bindings of Workers AI in a Worker's `env`. */
export function bindingsIn(env: object): AiBinding[] {
  return Object.values(env).filter((binding) => classOf(binding) === "Ai");
}

interface RunOptions {
  readonly gateway?: { readonly id?: unknown };
  readonly signal?: AbortSignal | undefined;
  readonly websocket?: boolean;
}

interface BindingCall {
  readonly name: string;
  readonly url: string;
  readonly inputs: unknown;
  readonly signal: AbortSignal | undefined;
  readonly gatewayId?: unknown;
  readonly logId?: () => unknown;
}

/** The result of `look`; `undefined` if it throws, since the binding itself refuses an unreadable argument. */
function quietly<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

function classOf(value: unknown): string | undefined {
  return typeof value === "object" && value !== null ? Object.getPrototypeOf(value)?.constructor?.name : undefined;
}

/** Replaces a method of `object` by a proxy that looks the same. `trace` may call the original. */
function replace(
  object: AiBinding,
  name: "run" | "gateway",
  trace: (call: () => unknown, args: unknown[]) => unknown,
): void {
  const method = object[name];
  if (typeof method !== "function") return;
  const value = new Proxy(method, {
    apply: (target, self, args) => trace(() => Reflect.apply(target, self, args), args),
  });
  Reflect.defineProperty(object, name, { value, writable: true, configurable: true });
}

/** Runs the call in a span, if a span is current. */
function traced(run: () => unknown, described: BindingCall | undefined): unknown {
  const frame = currentFrame();
  if (!frame?.span?.id || !described) return run();
  const { name, url, inputs, signal, gatewayId, logId } = described;
  const { scope } = frame;
  const span = startSpan(scope, { name, input: inputs }, frame);
  if (!span.isRecorded) {
    span.finish();
    return run();
  }
  const body = toJson(inputs, "input", scope);
  const call: BegunCall["call"] = {
    method: "POST",
    url: undefined,
    args: ["", { body: body ?? "" }],
    isAborted: () => signal?.aborted === true,
  };
  const begun: BegunCall = { call, name: undefined, span, above: frame.span };
  const follower = followCall(begun, "POST", url, (observed) => followModelCall(observed, NO_OPTIONS));
  const end = (ending: Ending): void => endCall(span, call, follower, ending);
  const watched = (answer: unknown): unknown => {
    if (answer instanceof Response) return watchAnswer(span, call, answer, follower);
    follower?.answered({
      status: 0,
      headers: headersOf(
        gatewayId,
        quietly(() => logId?.()),
      ),
    } as Response);
    if (answer instanceof ReadableStream && !answer.locked) {
      const stream = watchStream(answer, end, follower?.onCancel, follower?.onChunk);
      return span.endsWith(stream, stream);
    }
    span.update({ output: answer });
    follower?.onChunk(new TextEncoder().encode(toJson(answer, "output", scope)));
    end({ how: "done" });
    return answer;
  };
  const answered = (answer: unknown): unknown => quietly(() => watched(answer)) ?? answer;
  const failed = (error: unknown): never => {
    end({ how: "failed", error: quietly(() => withCode(error)) ?? error });
    throw error;
  };
  try {
    const answer = scope.within(span, run);
    return isPlainPromise(answer) ? answer.then(answered, failed) : answered(answer);
  } catch (error) {
    return failed(error);
  }
}

/** Names an error of the binding by its code, as the REST API does. The code is in its message or in its member `code`. */
function withCode(error: unknown): unknown {
  const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown };
  const [, name = `${code}`, text = message] = /^(\d{4}): (.*)/s.exec(`${message}`) ?? [];
  return /^\d{4}$/.test(name) ? namedError(name, `${text}`) : error;
}

/** The known headers of an answer without headers. */
function headersOf(gatewayId: unknown, logId: unknown): Headers {
  const headers = new Headers();
  if (typeof gatewayId === "string") headers.set("cf-aig-gateway-id", gatewayId);
  if (typeof logId === "string") headers.set("cf-aig-log-id", logId);
  return headers;
}
