// What the tables of this folder are made of: what a function gives, how its host uses it, and the host's own view of both.

import { described } from "../consumers.js";

/** How the span of a call has to end. `at once` is before anybody has used the result. */
export type Ending = "at once" | "failed at once" | "done" | "failed" | "cancelled" | "stopped" | "unfinished" | "any";

/** What a function gives. */
// biome-ignore lint/suspicious/noExplicitAny: it may be anything, and is used as what it is
export type Given = any;

/** A way to use it. What this gives, or throws, is part of what the host has seen. */
export type Use = (given: Given, host: Host) => unknown;

/** One kind of result. */
export interface Result {
  /** What there has to be before the function is called, which may be sync. */
  readonly prepare?: (host: Host) => Promise<unknown>;
  readonly make: (host: Host, prepared: Given) => unknown;
  /** Where its span ends otherwise than that of its family. */
  readonly ends?: Ending | Readonly<Record<string, Ending>>;
}

/** Results that are used in the same ways: each in all of them, also where that fails. */
export interface Family {
  readonly results: Readonly<Record<string, Result>>;
  readonly uses: Readonly<Record<string, Use>>;
  /** By use. */
  readonly ends: Ending | Readonly<Record<string, Ending>>;
  /** An `async` function awaits it itself. */
  readonly isAwaited?: boolean;
}

/** What the host has, and what it notices. */
export class Host {
  /** In their order. */
  readonly notes: unknown[] = [];
  readonly #names = new Map<unknown, string>();
  readonly #owned: [string, ArrayBufferView][] = [];
  readonly #undo: (() => unknown)[] = [];
  readonly #running: Promise<unknown>[] = [];
  #isTaskOver = false;
  #taskOver: Promise<void> = Promise.resolve();
  #laterTask: Promise<void> = Promise.resolve();
  /** What is to be seen when the case is over, whatever happens meanwhile. */
  readonly conclusions: unknown[] = [];

  /** `fetch` is traced where the host is; `url` is where a case's own answers are. */
  constructor(
    readonly url: string,
    readonly fetch: typeof globalThis.fetch,
  ) {}

  /** Notes that code of the host's own has been called. */
  note(what: string, ...args: unknown[]): void {
    this.notes.push([what, ...args.map((arg) => this.describe(arg))]);
  }

  /** From now on `value` is known by this name wherever it comes up. */
  name<T>(value: T, name: string): T {
    this.#names.set(value, name);
    return value;
  }

  /** The same for bytes that have to stay the host's. */
  own<T extends ArrayBufferView>(view: T, name: string): T {
    this.#owned.push([name, view]);
    return this.name(view, name);
  }

  /** Does so when the case is over. */
  after(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** Notes what is to be seen when the case is over. */
  conclude(...given: unknown[]): void {
    this.conclusions.push(given.map((one) => this.describe(one)));
  }

  async cleanUp(): Promise<void> {
    for (const undo of this.#undo) await undo();
  }

  /** Whether what it owns is still there: its length, and whether its buffer has one. */
  owned(): unknown {
    return this.#owned.map(([name, view]) => [name, view.byteLength, view.buffer.byteLength > 0]);
  }

  /** Says that the function is being called: what settles at once does so in this task. */
  begin(): void {
    this.#taskOver = macrotask().then(() => {
      this.#isTaskOver = true;
    });
    this.#laterTask = this.#taskOver.then(macrotask);
  }

  /**
   * Until the task is over in which the function is called. Which of two timers, or of a timer and a message, is the first is up to
   * the platform: there is one clock for what is to come later and for whether it has.
   */
  taskOver(): Promise<void> {
    return this.#taskOver;
  }

  /** Does so in the task after that. */
  later(step: () => unknown): void {
    void this.#laterTask.then(step);
  }

  /** Keeps the case from being looked at before `work`, which goes on by itself, has ended. */
  runs(work: Promise<unknown>): void {
    this.#running.push(work);
  }

  /** Resolves when all work that goes on by itself has ended. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Until what was to be done later is done, and the platform has told of what nobody has handled. */
  async told(): Promise<void> {
    await this.#laterTask;
    await told();
  }

  get at(): "at once" | "later" {
    return this.#isTaskOver ? "later" : "at once";
  }

  /** `value` as JSON; what has a name is the very same object. */
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

  /** What becomes of a step: what it gives, or throws. */
  async outcome(step: () => unknown): Promise<readonly unknown[]> {
    try {
      const value = await step();
      return ["fulfilled", this.describe(value)];
    } catch (error) {
      return ["rejected", this.describe(error)];
    }
  }

  /** The same, and whether it was in the task in which the function was called. */
  async timely(step: () => unknown): Promise<unknown> {
    return [...(await this.outcome(step)), this.at];
  }
}

export const classOf = (value: object): string => `object ${value.constructor?.name}`;

function textOf(view: ArrayBufferView): string {
  if (view instanceof DataView) return `${view.byteLength} bytes`;
  return new TextDecoder("latin1").decode(new Uint8Array(view.buffer, view.byteOffset, Math.min(view.byteLength, 50)));
}

/** Pages make a timer wait for 4 ms; elsewhere a message is no task of its own. */
const isBrowser = "document" in globalThis || "registration" in globalThis;

/** The next task. */
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

/** Until the platform has told of what nobody has handled. */
async function told(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => void setTimeout(resolve));
}

type Builtins = { readonly process?: { readonly getBuiltinModule?: (name: string) => Given } };

/** A module of Node's, where there is one. */
export const builtin = (name: string): Given =>
  (globalThis as unknown as Builtins).process?.getBuiltinModule?.(`node:${name}`);
