// The program of calls.test.ts. Makes the calls of its rows one after the other, on one side, and returns everything the
// host's code could see of each.

import { argumentsOf, hasMembers, type Ingredients } from "./arguments.js";
import { CONSUMERS, described, describedResponse, STEPS } from "./consumers.js";
import { type Call, TracedCalls } from "./entries.js";
import { observeIdiom } from "./idioms.js";
import type { Side } from "./sides.js";
import { Lacks, type Row } from "./table.js";
import { watchUnhandled } from "./unhandled.js";

/** Input of the program. */
export interface CallsConfig {
  readonly side: Side;
  readonly isTraced: boolean;
  readonly servers: {
    readonly url: string;
    readonly other: string;
    readonly refusing: string;
    readonly refused: string;
  };
  readonly cases: readonly { readonly id: number; readonly row: Row }[];
}

/** Output of the program. */
export interface CallsResult {
  /** The observation of each case, or `{ lacks }`. */
  readonly observations: Record<number, unknown>;
}

const platformFetch: typeof fetch = fetch.bind(globalThis);

/** Installed once, even if a Worker is called several times. */
let unhandled: unknown[] | undefined;

export async function run({ side, isTraced, servers, cases }: CallsConfig): Promise<CallsResult> {
  const tracing = new TracedCalls(servers.refusing);
  unhandled ??= watchUnhandled(described);
  const observations: Record<number, unknown> = {};
  for (const { id, row } of cases) {
    if (row["idiom"]) {
      observations[id] = await observeIdiom(row, `${servers.url}/${side}/${id}/`, isTraced ? tracing : undefined);
      continue;
    }
    const call: Call = !isTraced
      ? (args) => (fetch as (...all: unknown[]) => unknown)(...args)
      : (args) => tracing.call(row["entry"]!, row["propagate"]!)(args);
    const one = new OneCase(id, row, side, servers, call);
    const observed = await one.observe();
    await macrotask();
    observations[id] = { ...(observed as object), unhandled: unhandled.splice(0).filter(isOfCase) };
  }
  await tracing.flush();
  return { observations };
}

/** undici warns once per process, so the warning belongs to no particular case. */
const isOfCase = (noticed: unknown): boolean => !JSON.stringify(noticed).includes("UNDICI-");

/** Targets that some platforms try over the network before they refuse them. */
const NETWORK_SAYS = ["refused", "data:", "blob:", "about:", "unknown scheme", "blocked port"];

/** `true` if the network decides when the call fails. WebKit's service workers ask another process about an opaque manual redirect. */
const isForNetwork = ({ target, method, mode, redirect }: Row): boolean =>
  NETWORK_SAYS.includes(target!) ||
  method === '"CONNECT"' ||
  (target === "other" && mode === '"no-cors"' && redirect === '"manual"');

/** Time limit for a case that never ends. */
const HANGS_MS = 30_000;

class OneCase {
  readonly #controller = new AbortController();
  readonly #ingredients: Ingredients;

  constructor(
    readonly id: number,
    readonly row: Row,
    readonly side: Side,
    readonly servers: CallsConfig["servers"],
    readonly call: Call,
  ) {
    const path = `/${side}/${id}/`;
    this.#ingredients = {
      own: servers.url + path,
      path,
      other: servers.other + path,
      refusing: servers.refusing + path,
      refused: servers.refused + path,
      owned: [],
      reads: [],
      controller: this.#controller,
      undo: [],
    };
  }

  /** Asks the server for a step. Resolves to `true` if the requested event has happened. */
  #control(word: string): Promise<boolean> {
    return platformFetch(`${this.servers.other}/control/${word}/${this.side}/${this.id}`).then((answer) =>
      answer.json(),
    );
  }

  async observe(): Promise<unknown> {
    let stop: unknown;
    const hung = new Promise((resolve) => {
      stop = setTimeout(() => resolve({ outcome: "hangs" }), HANGS_MS);
    });
    try {
      return await Promise.race([this.#observe(), hung]);
    } catch (error) {
      return { outcome: "breaks the program", error: described(error) };
    } finally {
      clearTimeout(stop as number);
      for (const undo of this.#ingredients.undo) undo();
    }
  }

  async #observe(): Promise<unknown> {
    const { row } = this;
    const { own, path, owned, reads } = this.#ingredients;
    const steps = STEPS[row["consumer"]!];
    const signal = hasMembers(row) ? row["signal"] : undefined;
    const answer =
      steps?.answer ??
      { "aborted during headers": "never answers", "aborted during body": "endless" }[signal!] ??
      row["answer"]!;
    let args: unknown[];
    try {
      args = argumentsOf(row, answer, this.#ingredients);
    } catch (error) {
      // A mistake of the host: without arguments there is no call to make.
      return error instanceof Lacks ? { lacks: error.message } : { outcome: "not called", made: described(error) };
    }
    if (row["input"] && !/^http:/.test(urlOf(args[0]))) await this.#control("begin");

    const turn = new Turn();
    let returned: unknown;
    try {
      returned = this.call(args);
    } catch (error) {
      if (error instanceof Lacks) return { lacks: error.message };
      return { outcome: "thrown", thrown: described(error), ...this.#after(args) };
    }
    const promise = {
      class: (returned as object)?.constructor?.name,
      isPromise: returned instanceof Promise,
      own: Object.getOwnPropertyNames(returned),
    };
    if (signal === "aborted during headers") {
      void this.#control("seen").then(() => this.#controller.abort(new RangeError("the host's reason")));
    }
    let response: Response;
    try {
      response = await (returned as Promise<Response>);
    } catch (error) {
      const isReason = error === this.#controller.signal.reason;
      const at = isForNetwork(row) ? "when the network says so" : turn.isOver() ? "later" : "at once";
      return {
        outcome: "rejected",
        promise,
        rejected: described(error),
        isReason,
        at,
        ...this.#after(args),
        reads,
        // Waits until the server has received everything. A client may keep the connection of an unanswered request, so
        // `next` ends that request.
        over: await this.#control(signal === "aborted during headers" ? "next" : "over"),
      };
    }
    const looked = row["looked"] !== "after" && describedResponse(response);
    let consumed: unknown;
    try {
      if (signal === "aborted during body") {
        const reader = response.body!.getReader();
        await reader.read();
        this.#controller.abort(new RangeError("the host's reason"));
        const again = await reader.read().then(() => "read", described);
        consumed = {
          again,
          closed: await reader.closed.then(() => "closed", described),
          hungUp: await this.#control("hungUp"),
        };
      } else {
        const consume = steps?.consume ?? CONSUMERS[row["consumer"]!]!;
        consumed = await consume(response, {
          next: async () => void (await this.#control("next")),
          hungUp: () => this.#control("hungUp"),
          abort: (reason) => this.#controller.abort(reason),
          url: own,
          fetch: platformFetch,
        });
      }
    } catch (error) {
      if (error instanceof Lacks) {
        await response.body?.cancel().catch(() => {});
        return { lacks: error.message };
      }
      consumed = { error: described(error) };
    }
    const after = { bodyUsed: response.bodyUsed, ...this.#after(args) };
    const now = describedResponse(response);
    const immutable = await attempted(() => response.headers.append("x-host", path));
    await cleanUp(response);
    return {
      outcome: "fulfilled",
      promise,
      response: looked || now,
      consumed,
      ...after,
      immutable,
      reads,
      buffers: buffersOf(owned),
    };
  }

  /** The state of the arguments after the call. */
  #after([input, init]: unknown[]): object {
    const { owned } = this.#ingredients;
    const used = [input, init].map((given) => (isRequest(given) ? [given.bodyUsed, [...given.headers]] : null));
    let left: unknown = null;
    if (this.row["init"] === "plain") {
      const { headers, body } = init as RequestInit & object;
      left = {
        keys: Object.keys(init as object),
        headers: headers instanceof Headers ? [...headers] : null,
        locked: body instanceof ReadableStream ? body.locked : null,
      };
    }
    return { used, left, buffers: buffersOf(owned) };
  }
}

/** Lengths of the buffers that the host owns. A detached buffer has length 0. */
const buffersOf = (owned: readonly ArrayBufferView[]): unknown =>
  owned.map(({ byteLength, buffer }) => [byteLength, buffer.byteLength > 0]);

/** Tells if the task that created it is over. A promise that settles at once settles before that. */
class Turn {
  #over = false;

  constructor() {
    void macrotask().then(() => {
      this.#over = true;
    });
  }

  isOver(): boolean {
    return this.#over;
  }
}

/** Resolves in the next task. */
function macrotask(): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve));
}

async function attempted(step: () => unknown): Promise<unknown> {
  try {
    await step();
    return "no error";
  } catch (error) {
    return described(error);
  }
}

/** Cancels the body, so that nothing is left for the next case. */
async function cleanUp(response: Response): Promise<void> {
  try {
    await response.body?.cancel();
  } catch {
    // The body is locked or broken.
  }
}

function isRequest(given: unknown): given is Request {
  try {
    return given instanceof Request;
  } catch {
    return false; // a revoked proxy
  }
}

function urlOf(input: unknown): string {
  try {
    return input instanceof Request ? input.url : String(input);
  } catch {
    return "";
  }
}
