// Turns any JavaScript value into JSON text. All user code that serialisation can run (getters, toJSON) runs here, before
// the core is called. The output is bounded, even for values that refer to themselves; the core cuts it to the limits. Next
// in the flow: open-row.ts.

import { hideQueries, isObject, type Reporter, USER_INFO } from "../errors.js";
import type { Redact, Settings } from "../settings.js";

/** Replaces a masked value. */
export const REDACTED = "[redacted]";

/** Objects that are written as a name instead of their content: an invocation's `env` and `ctx`. */
export type Masks = ReadonlyMap<object, string>;

/** The context in which a value is written, such as a `Scope`. */
export interface Writing {
  readonly masks: Masks | undefined;
  /** Reports values that cannot be read. */
  readonly reporter: Reporter;
  readonly settings: Settings;
}

/**
 * A value that is already JSON text, such as a model's answer that an observer has read. It is written unparsed, unless
 * `redact` rules apply to it.
 */
export class JsonText {
  readonly text: string;

  /** `text` must be valid JSON. */
  constructor(text: string) {
    // This character separates the fields of a row and never occurs in JSON. Without it, malformed text cannot become
    // another field.
    this.text = text.replaceAll("\u001f", " ");
  }

  /** The value; throws if the text is not valid JSON. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** Deepest nesting that is written. A relay takes 64 levels, and up to four may enclose a value. */
const MAX_DEPTH = 60;
/** Longest text that is left to the core to cut, and most characters that are written without a copy. */
const MAX_CHARS = 8 * 1024 * 1024;
/** Assumed size of a value that is not a text. */
const NODE_CHARS = 8;
/** Replaces values beyond the limits. */
const CUT = "[opik_truncated]";

/**
 * The JSON text of `value`; `undefined` for values that JSON leaves out (undefined, a function, a symbol). Maps, sets,
 * errors, BigInts, binary data, cycles, requests, responses, headers and streams are written readably, from any realm.
 *
 * `redact` replaces values that must not be recorded; `field` is the key that it gets for the outermost value. A note
 * replaces values that cannot be read. Throws only errors of `redact`.
 */
export function toJson(value: unknown, field: string, writing: Writing, redact?: Redact): string | undefined {
  try {
    // Most values need no copy, which takes several times as long.
    if (!redact && roomBehind(value, writing.masks, 0, MAX_CHARS) >= 0) return JSON.stringify(value);
  } catch {
    // A getter that throws.
  }
  return JSON.stringify(readableCopy(value, field, writing, redact));
}

/** Characters left of `room` after `value`; below 0 if JSON.stringify would not write `value` as documented above. */
export function roomBehind(value: unknown, masks: Masks | undefined, depth: number, room: number): number {
  let left = room - NODE_CHARS;
  if (typeof value !== "object" || value === null) {
    if (typeof value === "string") return left - value.length;
    return typeof value === "bigint" || (typeof value === "function" && "toJSON" in value) ? -1 : left;
  }
  if (depth >= MAX_DEPTH || masks?.has(value)) return -1;
  if (Array.isArray(value)) {
    for (const item of value) {
      left = roomBehind(item, masks, depth + 1, left);
      if (left < 0) return left;
    }
    return left;
  }
  // A fast path, since nearly all objects belong to this realm.
  if ((Object.getPrototypeOf(value) !== Object.prototype && !isPlain(value)) || "toJSON" in value) return -1;
  for (const key in value) {
    left = roomBehind((value as Record<string, unknown>)[key], masks, depth + 1, left - key.length);
    if (left < 0) return left;
  }
  return left;
}

/** `true` if `value` looks like an object literal, of any realm. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** A copy that JSON.stringify writes as documented above: each member has been read separately, and none has a `toJSON`. */
function readableCopy(
  outermost: unknown,
  field: string,
  { masks, reporter, settings }: Writing,
  redact: Redact | undefined,
): unknown {
  const { fieldBytes } = settings.limits;
  /** Objects met so far. The value is `true` while the object is being copied, so that a cycle is noticed. */
  const met = new Map<unknown, boolean>();
  let copied = 0;
  let isRedacting = false;

  const redacted = (value: unknown, key: string): unknown => {
    if (!redact || value === undefined) return value;
    isRedacting = true;
    const shown = redact(value, key);
    isRedacting = false;
    return shown;
  };

  /** Inside a class instance, secrets are recognised by their names. */
  const copy = (
    holder: object,
    name: string | number,
    depth: number,
    isInside: boolean,
    key = `${name}`,
    isEntry = false,
  ): unknown => {
    copied += key.length + NODE_CHARS;
    let shown: unknown;
    try {
      const value: unknown = holder[name as never];
      shown = masks?.get(value as object) ?? (isInside ? secretAs(value, key) : undefined) ?? knownAs(value);
      shown = redacted(shown ?? contentOf(value, key), key);
      if (isObject(shown)) {
        if (met.get(value)) return "[circular]";
        if (depth === MAX_DEPTH) return CUT;
        // Each object is written once, and again only while there is room to spare.
        if (met.has(value) && copied > fieldBytes / 2) return "[repeated]";
        const [keys, members] = Array.isArray(shown) ? [shown.keys(), []] : [Object.keys(shown), Object.create(null)];
        const isInstances = isInside || isInstance(value) || isInstance(shown);
        // In the entries of a Map with keys that are not all texts, the name of a value is the key before it.
        const isMaps = Array.isArray(shown) && isObject(value) && tagOf(value) === "Map";
        const [first] = isEntry ? (shown as unknown[]) : [];
        const named = knownAs(first) ?? first;
        met.set(value, true);
        for (const key of keys) {
          if (copied > 2 * fieldBytes) {
            members[key] = CUT;
            break;
          }
          const called = key === 1 && typeof named === "string" ? named : undefined;
          members[key] = copy(shown, key, depth + 1, isInstances, called, isMaps);
        }
        met.set(value, false);
        return members;
      }
    } catch (error) {
      if (isRedacting) throw error;
      shown = redacted(unserializable(field, error, reporter), key);
    }
    if (typeof shown === "function") return undefined; // a function may have a toJSON
    if (typeof shown !== "string") return shown;
    copied += shown.length;
    if (shown.length <= MAX_CHARS) return shown;
    // Short enough that the core does not cut it again, even at six bytes per character.
    return `${shown.slice(0, fieldBytes / 16)}… [opik_truncated: ${shown.length} characters]`;
  };

  return copy({ [field]: outermost }, field, 0, false);
}

/** The note for a value that cannot be read; reported once for each field. */
export function unserializable(field: string, error: unknown, reporter: Reporter): string {
  const message = messageOf(error) ?? "it cannot be read";
  reporter.once("unserializable", `${field} could not be written as JSON: ${message}; record plain data`, error, field);
  return `[unserializable: ${message}]`;
}

function messageOf(error: unknown): unknown {
  try {
    return (error as Error | undefined)?.message;
  } catch {
    return undefined;
  }
}

/** Names of members that hold secrets. */
const SECRET = /(.key|auth(orization)?|cookies?|credentials?|passphrase|passw(or)?d|secret|token)$/i;

/** The replacement of an instance's member that is or contains a secret; `undefined` for other members. */
function secretAs(value: unknown, key: string): unknown {
  if (typeof value !== "string" && !isObject(value)) return undefined;
  if (SECRET.test(key)) return REDACTED;
  if (typeof value === "string") return value.replace(USER_INFO, "//");
  return isPlain(value) && /headers$/i.test(key) ? describeHeaders(value) : undefined;
}

/** The kind of an object, from any realm: `Array`, `Date`, …; `Object` for the host's own classes. */
function tagOf(value: object): string {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (tag !== "Object") return tag;
  // With a compatibility date before 2024-09-26 (`set_tostring_tag`), only the class identifies an object of the Workers
  // platform.
  const type = (globalThis as Record<string, unknown>)[value.constructor?.name];
  return typeof type === "function" && value instanceof type ? type.name : tag;
}

function nameOf(value: object): string {
  const { name } = value.constructor ?? {};
  return name && name !== "Object" ? name : tagOf(value);
}

/** `true` if the class of `value` does more than hold data. */
function isInstance(value: unknown): boolean {
  return isObject(value) && !isPlain(value) && !/^(Array|Map|Set)$/.test(tagOf(value));
}

/** `true` if `value` is an error, from any realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || (isObject(value) && /^(Error|DOMException)$/.test(tagOf(value)));
}

/** The replacement of an object that JSON cannot write, or would write with too much detail; `undefined` for other values. */
export function knownAs(value: unknown): unknown {
  if (typeof value === "bigint") return `${value}`;
  if (!isObject(value) || Array.isArray(value) || isPlain(value)) return undefined;
  if (isError(value)) return describeError(value);
  const name = nameOf(value);
  const tag = tagOf(value);
  if (ArrayBuffer.isView(value) || /^((Shared)?ArrayBuffer|Blob|File)$/.test(tag)) {
    const { size, byteLength = size } = value as ArrayBuffer & Blob;
    return `[${name} of ${byteLength} bytes]`;
  }
  if (/Headers$/.test(name)) return describeHeaders(value);
  switch (tag) {
    case "Map": {
      const entries = first(value as Map<unknown, unknown>);
      return entries.every(([key]) => typeof key === "string") ? Object.fromEntries(entries) : entries;
    }
    case "Set":
      return first(value as Set<unknown>);
    case "URLSearchParams":
    case "FormData":
      return describeFields(value as Iterable<[string, unknown]>);
    case "URL":
      return withoutQuery(value as URL);
  }
  if (/^(BigInt|Boolean|Number|String|Symbol)$/.test(tag)) {
    // The boxed value, whatever members the box has.
    const inside: unknown = globalThis[tag as "String"].prototype.valueOf.call(value);
    return knownAs(inside) ?? inside;
  }
  // An RPC stub has members of every name, and calling one calls the other side.
  return "opik-edge" in value ? `[${name}]` : describeMessage(value);
}

/** The first of `items`, up to the number that can be written. */
function first<T>(items: Iterable<T>): T[] {
  const taken: T[] = [];
  for (const item of items) if (taken.push(item) * NODE_CHARS > MAX_CHARS) break;
  return taken;
}

/** All values of each name. */
function describeFields(pairs: Iterable<[name: string, value: unknown]>): object {
  const fields: Record<string, unknown[]> = Object.create(null);
  for (const [name, value] of first(pairs)) {
    fields[name] ??= [];
    fields[name].push(value);
  }
  return fields;
}

/** Only the names: header values may be credentials. */
function describeHeaders(value: object): object {
  const names = Symbol.iterator in value ? first(value as Headers).map(([name]) => name) : Object.keys(value);
  return { headers: names };
}

/** An error with its cause, and with the errors that it combines (`AggregateError`, `SuppressedError`). */
export function describeError(error: Error): Partial<Record<"cause" | "errors" | "error" | "suppressed", unknown>> & {
  name: string;
  message: string;
} {
  const { name, message, cause, errors, error: last, suppressed } = error as Error & Record<string, unknown>;
  return { name, message: hideQueries(message), cause, errors, error: suppressed && last, suppressed };
}

/**
 * A request is written as its method and its URL without the query, which may hold secrets and personal data; a response as
 * its status. Recognises the classes of the web platform, of Node and of frameworks; `undefined` for other values.
 */
function describeMessage(value: object): object | undefined {
  if (!["headers", "header", "getHeader"].some((name) => name in value)) return undefined;
  const { method, status, statusCode = status, originalUrl, url, path } = value as Record<string, unknown>;
  if (typeof method !== "string" && typeof statusCode !== "number") return undefined;
  const where = originalUrl || url || path;
  return {
    method: method ?? undefined,
    status: statusCode ?? undefined,
    url: where ? withoutQuery(`${where}`) : undefined,
  };
}

/** The content of an object: the result of its `toJSON`, or its name if it is a live object rather than data. */
function contentOf(value: unknown, key: string): unknown {
  if (!isObject(value)) return value;
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") {
    const content: unknown = toJSON.call(value, key);
    return knownAs(content) ?? content;
  }
  return isInstance(value) && isAlive(value) ? `[${nameOf(value)}]` : value;
}

/** `true` if `value` is a socket, a stream, a server, a DOM element, or a platform object without visible members. */
function isAlive(value: object): boolean {
  if ("addEventListener" in value || ("on" in value && "emit" in value)) return true;
  return tagOf(value) !== "Object" && Object.keys(value).length === 0;
}

/**
 * A URL up to its query or fragment, without credentials. A URL without a host keeps only its scheme (`data:` its media
 * type too).
 */
export function withoutQuery(url: string | URL): string {
  return `${url}`
    .replace(/^(data:[^,;]{0,99}|[a-z][\w+.-]*:(?!\/\/)).*/is, "$1")
    .replace(/[?#].*/s, "")
    .replace(USER_INFO, "//");
}
