// The clock, the random bytes and the timers: the only impure reads of the package, in one object that
// opik-edge/testing replaces. Everything else is given its time and its randomness as arguments.

/** What the platform is asked for. */
export interface Environment {
  /** Whole milliseconds since 1970. On Workers they move only at I/O. */
  now(): number;
  /** Random bytes from the platform's cryptographic source. */
  randomBytes(length: number): Uint8Array;
  /** Calls `run` after `ms`; gives what stops it. With `idle` it does not keep a process alive. */
  after(ms: number, run: () => void, idle?: boolean): () => void;
  /** Where what belongs into a scope is recorded instead. */
  redirect?<S extends object>(scope: S): S;
}

interface Process {
  readonly getBuiltinModule?: (name: string) => unknown;
  readonly versions?: { readonly node?: string };
  /** Electron has it: `renderer` in a page. */
  readonly type?: string;
}

/** The platform's timers as they were when this was loaded: a test runner may put others in their place, which never run. */
const { setTimeout, clearTimeout } = globalThis;

/** The environment of now. */
export const environment: Environment = {
  now: () => Date.now(),
  randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
  after(ms, run, idle) {
    const timer: unknown = setTimeout(run, ms);
    if (idle) {
      const { Deno } = globalThis as { Deno?: { unrefTimer?(timer: unknown): void } };
      try {
        if (typeof timer === "number") Deno?.unrefTimer?.(timer);
        else (timer as { unref?(): void }).unref?.();
      } catch {
        // In a page an element may have that name.
      }
    }
    return () => clearTimeout(timer as number);
  },
};

/** The wall clock in whole milliseconds since 1970. */
export function now(): number {
  return environment.now();
}

/** Times that a clock which is right may show, in ms since 1970: those of the years 2020 to 2099. */
export const TIMES: readonly [least: number, most: number] = [1_577_836_800_000, 4_102_444_799_999];

/** `length` random bytes. */
export function randomBytes(length: number): Uint8Array {
  return environment.randomBytes(length);
}

/** 32 random bits; 0 where there are none to be had. */
export function randomBits(): number {
  try {
    return new DataView(randomBytes(4).buffer).getUint32(0);
  } catch {
    return 0;
  }
}

/** Resolves when `promise` has settled, or after `ms`. */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let stop = (): void => {};
  const bound = new Promise<void>((resolve) => {
    stop = environment.after(ms, resolve);
  });
  try {
    await Promise.race([promise, bound]);
  } catch {
    // Settled.
  } finally {
    stop();
  }
}

/**
 * Whether this is a page or its worker: only there a user agent begins so. In Node, Deno and Bun a library that plays a DOM
 * (jsdom, happy-dom) has put it there; what is a page there is one of Electron's.
 */
export function isBrowser(): boolean {
  const { navigator, process } = globalThis as { navigator?: { userAgent?: string }; process?: Process };
  if (typeof process?.versions?.node === "string" && process.type === undefined) return false;
  return navigator?.userAgent?.startsWith("Mozilla/") ?? false;
}

/** The module of the platform's that is called `name` (`node:…`), where it is to be had without an import. It may throw in a page. */
export function builtin<T>(name: string): T | undefined {
  return (globalThis as { process?: Process }).process?.getBuiltinModule?.(name) as T | undefined;
}

/** Whether the process outlives its requests and has timers of its own: Node, Deno, Bun. A Worker is none. */
export function isServer(): boolean {
  const { process, Deno, WebSocketPair, EdgeRuntime } = globalThis as {
    process?: Process;
    Deno?: unknown;
    WebSocketPair?: unknown;
    EdgeRuntime?: unknown;
  };
  if (WebSocketPair !== undefined || EdgeRuntime !== undefined || isBrowser()) return false;
  return Deno !== undefined || typeof process?.versions?.node === "string";
}

/** Whether this is Cloudflare's, where a request's URL is one of the Worker's own routes. */
export function isWorker(): boolean {
  return "WebSocketPair" in globalThis;
}
