// Any JavaScript value → JSON text. All user code that serialisation can meet (getters, toJSON)
// runs here, before the core is touched. Next in the flow: buffer.ts.

import type { Redact } from "./redact.js";

/** Objects that are written as a name instead of their content: an invocation's `env` and `ctx`. */
export type Masks = ReadonlyMap<object, string>;

/** How deep the quick check looks before the careful writer takes over. */
const MAX_PLAIN_DEPTH = 64;

/**
 * The JSON text of `value`; `undefined` where JSON has none (undefined, a function, a symbol).
 * `Map`, `Set`, `Error`, BigInt, binary data, cycles, `Request`, `Response`, `Headers` and streams are
 * written readably. With `redact`, what must not be recorded is replaced; `name` is what it is told of the outermost
 * value. Throws what a getter or `toJSON` of the value throws, or `redact`.
 */
export function toJson(value: unknown, masks?: Masks, redact?: Redact, name = ""): string | undefined {
  // A replacer makes JSON.stringify several times slower; most values need none.
  if (!redact && isPlain(value, masks, 0)) return JSON.stringify(value);
  return JSON.stringify(value, careful(masks, redact && ((inner, key) => redact(inner, key || name))));
}

function isPlain(value: unknown, masks: Masks | undefined, depth: number): boolean {
  if (typeof value !== "object" || value === null) return typeof value !== "bigint";
  if (depth > MAX_PLAIN_DEPTH || masks?.has(value)) return false;
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlain(item, masks, depth + 1)) return false;
    return true;
  }
  const prototype = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || "toJSON" in value) return false;
  for (const key in value) {
    if (!isPlain((value as Record<string, unknown>)[key], masks, depth + 1)) return false;
  }
  return true;
}

/** A replacer that knows where it is, so that a cycle is told from an object that occurs twice. */
function careful(
  masks: Masks | undefined,
  redact: Redact | undefined,
): (this: unknown, key: string, value: unknown) => unknown {
  const holders: unknown[] = [];
  const originals: unknown[] = [];
  return function (this: unknown, key: string, value: unknown): unknown {
    // JSON.stringify has called toJSON already, which may tell more than it should: Bun's Headers have one.
    let shown = value;
    const original = (this as Record<string, unknown>)[key];
    if (typeof original === "object" && original !== null) {
      const mask = masks?.get(original);
      if (mask !== undefined) return mask;
      const known = readable(original);
      if (known !== original) shown = known;
    }
    if (typeof shown === "bigint") shown = shown.toString();
    if (redact) shown = redact(shown, key);
    if (typeof shown !== "object" || shown === null) return shown;
    while (holders.length > 0 && holders.at(-1) !== this) {
      holders.pop();
      originals.pop();
    }
    if (originals.includes(original)) return "[circular]";
    // What is shown instead of `value` is the holder of all that comes below it.
    holders.push(shown);
    originals.push(original);
    return shown;
  };
}

function readable(value: object): unknown {
  if (value instanceof Map) {
    const entries = [...value];
    return entries.every(([key]) => typeof key === "string") ? Object.fromEntries(entries) : entries;
  }
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return describeError(value);
  if (value instanceof ArrayBuffer) return `[ArrayBuffer of ${value.byteLength} bytes]`;
  if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
  if (isA(value, "Request")) return describeRequest(value as Request);
  if (isA(value, "Response")) return { status: (value as Response).status, ...urlOf((value as Response).url) };
  // Header values are credentials as often as not; names alone say enough.
  if (isA(value, "Headers")) return { headers: [...(value as Headers).keys()] };
  if (isA(value, "Blob")) return `[Blob of ${(value as Blob).size} bytes]`;
  for (const name of ["ReadableStream", "WritableStream", "TransformStream", "Promise", "WebSocket"]) {
    if (isA(value, name)) return `[${name}]`;
  }
  return value;
}

/** `instanceof` for a global that may be missing, or changed, in this runtime. */
function isA(value: object, name: string): boolean {
  const type = (globalThis as Record<string, unknown>)[name];
  return typeof type === "function" && value instanceof type;
}

function describeError(error: Error): object {
  const { name, message, cause } = error;
  return cause === undefined ? { name, message } : { name, message, cause };
}

/** A request as its method and its URL without the query, where secrets and personal data live. */
function describeRequest(request: Request): { method: string; url?: string } {
  return { method: request.method, ...urlOf(request.url) };
}

function urlOf(text: string): { url?: string } {
  return text ? { url: withoutQuery(text) } : {};
}

/** A URL up to its query or fragment, without credentials. */
export function withoutQuery(text: string | URL): string {
  try {
    const { protocol, host, pathname } = typeof text === "string" ? new URL(text) : text;
    return `${protocol}//${host}${pathname}`;
  } catch {
    return String(text).replace(/[?#].*$/s, "");
  }
}
