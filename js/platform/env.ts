// The clock, the random bytes and the timers. They are the package's only impure reads, collected in one object that
// opik-edge/testing replaces. All other code gets time and randomness as arguments.

/** The functions that the platform provides. */
export interface Environment {
  /** Whole milliseconds since 1970. On Workers they move only at I/O. */
  now(): number;
  /** Random bytes from the platform's cryptographic source. */
  randomBytes(length: number): Uint8Array;
  /** Calls `run` after `ms`; returns a function that cancels it. With `idle` the timer does not keep a process alive. */
  after(ms: number, run: () => void, idle?: boolean): () => void;
  /** Returns the scope that records in place of `scope`. */
  redirect?<S extends object>(scope: S): S;
}

interface Process {
  readonly getBuiltinModule?: (name: string) => unknown;
  readonly versions?: { readonly node?: string };
  /** Set by Electron: `renderer` in a page. */
  readonly type?: string;
}

/** The platform's timers, saved at load time: a test runner may replace the global ones by timers that never run. */
const { setTimeout, clearTimeout } = globalThis;

/** The active environment; tests replace its members. */
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
        // In a page, an element may have that name.
      }
    }
    return () => clearTimeout(timer as number);
  },
};

/** The wall clock in whole milliseconds since 1970. */
export function now(): number {
  return environment.now();
}

/** The range of a plausible clock, in ms since 1970: the years 2020 to 2099. */
export const TIMES: readonly [least: number, most: number] = [1_577_836_800_000, 4_102_444_799_999];

/** `length` random bytes. */
export function randomBytes(length: number): Uint8Array {
  return environment.randomBytes(length);
}

/** 32 random bits; 0 if the platform provides none. */
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
    // A rejection counts as settled.
  } finally {
    stop();
  }
}

/**
 * `true` in a page or its worker, where the user agent has this prefix. In Node, Deno and Bun a DOM library (jsdom,
 * happy-dom) may set that prefix too; there, only Electron has pages.
 */
export function isBrowser(): boolean {
  const { navigator, process } = globalThis as { navigator?: { userAgent?: string }; process?: Process };
  if (typeof process?.versions?.node === "string" && process.type === undefined) return false;
  return navigator?.userAgent?.startsWith("Mozilla/") ?? false;
}

/** The platform's module `name` (`node:…`), if it is available without an import. May throw in a page. */
export function builtin<T>(name: string): T | undefined {
  return (globalThis as { process?: Process }).process?.getBuiltinModule?.(name) as T | undefined;
}

/** `true` if the process outlives its requests and keeps timers between them: Node, Deno, Bun. A Worker does not. */
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

/** The runtime's name for backends; "" if it is unknown. */
export function runtimeName(): string {
  if (isWorker()) return "workerd";
  return ["EdgeRuntime", "Deno", "Bun"].find((name) => name in globalThis)?.toLowerCase() ?? (isServer() ? "node" : "");
}

/** `true` on Cloudflare Workers, where a request's URL is a route of the Worker itself. */
export function isWorker(): boolean {
  return "WebSocketPair" in globalThis;
}
