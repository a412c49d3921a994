// Building blocks for the tables in this folder: results of functions, their uses by a host, and the host's view of both.

import { described } from "../consumers.js";

/** The expected ending of a call's span. `at once` is before the result is used. */
export type Ending = "at once" | "failed at once" | "done" | "failed" | "cancelled" | "stopped" | "unfinished" | "any";

/** The result of a function. */
// biome-ignore lint/suspicious/noExplicitAny: a value of any type, used as such
export type Given = any;

/** A use of a result. Its value or error is part of the host's observation. */
export type Use = (given: Given, host: Host) => unknown;

/** One kind of result. */
export interface Result {
  /** Prepares values before the function is called, since the function may be sync. */
  readonly prepare?: (host: Host) => Promise<unknown>;
  readonly make: (host: Host, prepared: Given) => unknown;
  /** Overrides the family's endings. */
  readonly ends?: Ending | Readonly<Record<string, Ending>>;
}

/** Results with the same uses. Every use is applied to every result, even if it fails. */
export interface Family {
  readonly results: Readonly<Record<string, Result>>;
  readonly uses: Readonly<Record<string, Use>>;
  /** The ending of the span, for all uses or by use. */
  readonly ends: Ending | Readonly<Record<string, Ending>>;
  /** `true` if an `async` function awaits the result itself. */
  readonly isAwaited?: boolean;
}

/** The host's values and observations. */
export class Host {
  /** Notes in the order in which they were made. */
  readonly notes: unknown[] = [];
  readonly #names = new Map<unknown, string>();
  readonly #owned: [string, ArrayBufferView][] = [];
  readonly #undo: (() => unknown)[] = [];
  readonly #running: Promise<unknown>[] = [];
  #isTaskOver = false;
  #taskOver: Promise<void> = Promise.resolve();
  #laterTask: Promise<void> = Promise.resolve();
  /** Observations at the end of the case. */
  readonly conclusions: unknown[] = [];

  /** `fetch` is traced on the traced side. `url` is the base of the case's answers. */
  constructor(
    readonly url: string,
    readonly fetch: typeof globalThis.fetch,
  ) {}

  /** Notes a call of the host's code. */
  note(what: string, ...args: unknown[]): void {
    this.notes.push([what, ...args.map((arg) => this.describe(arg))]);
  }

  /** Shows `value` under this name from now on, wherever it occurs. */
  name<T>(value: T, name: string): T {
    this.#names.set(value, name);
    return value;
  }

  /** Names a view whose buffer must stay attached. */
  own<T extends ArrayBufferView>(view: T, name: string): T {
    this.#owned.push([name, view]);
    return this.name(view, name);
  }

  /** Calls `undo` when the case is over. */
  after(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** Adds an observation at the end of the case. */
  conclude(...given: unknown[]): void {
    this.conclusions.push(given.map((one) => this.describe(one)));
  }

  async cleanUp(): Promise<void> {
    for (const undo of this.#undo) await undo();
  }

  /** The byte lengths of the owned views, and `true` for each buffer that is still attached. */
  owned(): unknown {
    return this.#owned.map(([name, view]) => [name, view.byteLength, view.buffer.byteLength > 0]);
  }

  /** Marks the start of the call. A value settles at once if it settles in this task. */
  begin(): void {
    this.#taskOver = macrotask().then(() => {
      this.#isTaskOver = true;
    });
    this.#laterTask = this.#taskOver.then(macrotask);
  }

  /** Resolves when the task of the call is over. `later` uses the same clock, because platforms order timers and messages differently. */
  taskOver(): Promise<void> {
    return this.#taskOver;
  }

  /** Calls `step` in the task after that. */
  later(step: () => unknown): void {
    void this.#laterTask.then(step);
  }

  /** Delays the observation of the case until `work` has ended. */
  runs(work: Promise<unknown>): void {
    this.#running.push(work);
  }

  /** Resolves when all work passed to `runs` has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Waits for the steps passed to `later`, and for the platform to report unhandled rejections. */
  async told(): Promise<void> {
    await this.#laterTask;
    await told();
  }

  get at(): "at once" | "later" {
    return this.#isTaskOver ? "later" : "at once";
  }

  /** `value` as JSON. A named object is shown by its name, which proves its identity. */
  describe(value: unknown, depth = 0): unknown {
    const name = this.#names.get(value);
    if (name !== undefined) return `<${name}>`;
    if (typeof value === "function") return "function";
    if (typeof value !== "object" || value === null) return `${typeof value} ${String(value)}`;
    try {
      if (Array.isArray(value)) return value.map((item) => this.describe(item, depth + 1));
      if (value instanceof Error) return described(value);
      if (ArrayBuffer.isView(value)) return { class: value.constructor.name, text: textOf(value) };
      const isPlain = Object.getPrototypeOf(value) === Object.prototype;
      if (!isPlain || depth > 3) return classOf(value);
      return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, this.describe(member, depth + 1)]));
    } catch (error) {
      return { refuses: described(error) };
    }
  }

  /** The outcome of a step: its value or error. */
  async outcome(step: () => unknown): Promise<readonly unknown[]> {
    try {
      const value = await step();
      return ["fulfilled", this.describe(value)];
    } catch (error) {
      return ["rejected", this.describe(error)];
    }
  }

  /** The outcome, and `at once` if it came in the task of the call. */
  async timely(step: () => unknown): Promise<unknown> {
    return [...(await this.outcome(step)), this.at];
  }
}

export const classOf = (value: object): string => `object ${value.constructor?.name}`;

function textOf(view: ArrayBufferView): string {
  if (view instanceof DataView) return `${view.byteLength} bytes`;
  return new TextDecoder("latin1").decode(new Uint8Array(view.buffer, view.byteOffset, Math.min(view.byteLength, 50)));
}

/** Pages delay nested timers by 4 ms. Elsewhere, a message might not start a new task. */
const isBrowser = "document" in globalThis || "registration" in globalThis;

/** Resolves in the next task. */
export function macrotask(): Promise<void> {
  return new Promise((resolve) => {
    if (!isBrowser) return void setTimeout(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

/** Waits until the platform has reported unhandled rejections. */
async function told(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => void setTimeout(resolve));
}

type Builtins = { readonly process?: { readonly getBuiltinModule?: (name: string) => Given } };

/** A built-in module of Node, or `undefined`. */
export const builtin = (name: string): Given =>
  (globalThis as unknown as Builtins).process?.getBuiltinModule?.(`node:${name}`);
