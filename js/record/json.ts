// Any JavaScript value → JSON text. All user code that serialisation can meet (getters, toJSON)
// runs here, before the core is touched. However a value is linked with itself, what is written of it is bounded; it is
// cut to the limits in the core. Next in the flow: row.ts.

import { hideQueries, isObject, type Reporter, USER_INFO } from "../errors.js";
import type { Redact, Settings } from "../settings.js";

/** Stands for what was masked. */
export const REDACTED = "[redacted]";

/** Objects that are written as a name instead of their content: an invocation's `env` and `ctx`. */
export type Masks = ReadonlyMap<object, string>;

/** What the writing of a value depends on; a `Scope` is one. */
export interface Writing {
  readonly masks: Masks | undefined;
  /** Told of what can not be read. */
  readonly reporter: Reporter;
  readonly settings: Settings;
}

/**
 * A value that is JSON text already, as what reads a model's answer has it: it is written as it is, unread, unless rules apply to it.
 */
export class JsonText {
  readonly text: string;

  /** `text` is JSON. */
  constructor(text: string) {
    // That stands between the fields of a row, and in no JSON: no answer that was read carelessly becomes another field.
    this.text = text.replaceAll("\u001f", " ");
  }

  /** The value; throws where the text is no JSON. */
  toJSON(): unknown {
    return JSON.parse(this.text);
  }
}

/** How deep values are nested: a relay takes 64 levels, of which four may be around a value. */
const MAX_DEPTH = 60;
/** The longest text that the core is left to cut, and the most that is written without a copy, in characters. */
const MAX_CHARS = 8 * 1024 * 1024;
/** What a value counts for that is no text. */
const NODE_CHARS = 8;
/** Stands for what is beyond. */
const CUT = "[opik_truncated]";

/**
 * The JSON text of `value`; `undefined` where JSON has none (undefined, a function, a symbol).
 * `Map`, `Set`, `Error`, BigInt, binary data, cycles, requests, responses, headers and streams are written readably, those of
 * another realm too. With `redact`, what must not be recorded is replaced; `field` is what it is told of the outermost
 * value. In place of what can not be read stands a note. Throws what `redact` throws, and nothing else.
 */
export function toJson(value: unknown, field: string, writing: Writing, redact?: Redact): string | undefined {
  try {
    // A copy takes several times as long; most values need none.
    if (!redact && roomBehind(value, writing.masks, 0, MAX_CHARS) >= 0) return JSON.stringify(value);
  } catch {
    // A getter that throws.
  }
  return JSON.stringify(readableCopy(value, field, writing, redact));
}

/** How many of `room` characters are left behind `value`; below 0 where JSON.stringify does not make of it what is wanted. */
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
  // Asked here too, since nearly all are of this realm.
  if ((Object.getPrototypeOf(value) !== Object.prototype && !isPlain(value)) || "toJSON" in value) return -1;
  for (const key in value) {
    left = roomBehind((value as Record<string, unknown>)[key], masks, depth + 1, left - key.length);
    if (left < 0) return left;
  }
  return left;
}

/** Whether `value` is what a literal makes: in any realm. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isObject(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** What JSON.stringify makes of it is what is wanted: each member has been read for itself, and none is left with a `toJSON`. */
function readableCopy(
  outermost: unknown,
  field: string,
  { masks, reporter, settings }: Writing,
  redact: Redact | undefined,
): unknown {
  const { fieldBytes } = settings.limits;
  /** The objects met so far, and whether each is being copied just now: then it is inside itself. */
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

  /** Inside an instance of a class secrets are told by their names. */
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
        // Once in any case, and again as long as there is room to spare.
        if (met.has(value) && copied > fieldBytes / 2) return "[repeated]";
        const [keys, members] = Array.isArray(shown) ? [shown.keys(), []] : [Object.keys(shown), Object.create(null)];
        const isInstances = isInside || isInstance(value) || isInstance(shown);
        // Of a Map whose keys are not all names: a value's name is what stands before it.
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
    if (typeof shown === "function") return undefined; // which may have a toJSON
    if (typeof shown !== "string") return shown;
    copied += shown.length;
    if (shown.length <= MAX_CHARS) return shown;
    // So little that the core cuts it no further, even where each character takes six bytes.
    return `${shown.slice(0, fieldBytes / 16)}… [opik_truncated: ${shown.length} characters]`;
  };

  return copy({ [field]: outermost }, field, 0, false);
}

/** A note in place of what can not be read, which is told of once for each field. */
export function unserializable(field: string, error: unknown, reporter: Reporter): string {
  const message = messageOf(error) ?? "it can not be read";
  reporter.once("unserializable", `${field} could not be written as JSON: ${message}; record what can`, error, field);
  return `[unserializable: ${message}]`;
}

function messageOf(error: unknown): unknown {
  try {
    return (error as Error | undefined)?.message;
  } catch {
    return undefined;
  }
}

/** Names of members that are secrets. */
const SECRET = /(.key|auth(orization)?|cookies?|credentials?|passphrase|passw(or)?d|secret|token)$/i;

/** What stands for a member of an instance that is a secret or has secrets in it; `undefined` for any other. */
function secretAs(value: unknown, key: string): unknown {
  if (typeof value !== "string" && !isObject(value)) return undefined;
  if (SECRET.test(key)) return REDACTED;
  if (typeof value === "string") return value.replace(USER_INFO, "//");
  return isPlain(value) && /headers$/i.test(key) ? describeHeaders(value) : undefined;
}

/** The kind of an object, in whichever realm it was made: `Array`, `Date`, …; `Object` for one of the host's own. */
function tagOf(value: object): string {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  if (tag !== "Object") return tag;
  // Workers with a date before 2024-09-26 (`set_tostring_tag`) tell the platform's objects by their class only.
  const type = (globalThis as Record<string, unknown>)[value.constructor?.name];
  return typeof type === "function" && value instanceof type ? type.name : tag;
}

function nameOf(value: object): string {
  const { name } = value.constructor ?? {};
  return name && name !== "Object" ? name : tagOf(value);
}

/** Whether `value` is of a class that is more than a way to hold data. */
function isInstance(value: unknown): boolean {
  return isObject(value) && !isPlain(value) && !/^(Array|Map|Set)$/.test(tagOf(value));
}

/** Whether `value` is an error, of whatever realm. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || (isObject(value) && /^(Error|DOMException)$/.test(tagOf(value)));
}

/** What stands for an object of a kind that JSON knows nothing of, or tells too much of; `undefined` for any other. */
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
    // What is in the box, whatever members it has.
    const inside: unknown = globalThis[tag as "String"].prototype.valueOf.call(value);
    return knownAs(inside) ?? inside;
  }
  // A stub of RPC has members of any name, and calls the other side where one is called.
  return "opik-edge" in value ? `[${name}]` : describeMessage(value);
}

/** As many of `items` as can be written. */
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

/** The names alone: header values may be credentials. */
function describeHeaders(value: object): object {
  const names = Symbol.iterator in value ? first(value as Headers).map(([name]) => name) : Object.keys(value);
  return { headers: names };
}

/** An error, with what it was caused by, and the errors that it stands for (`AggregateError`, `SuppressedError`). */
export function describeError(error: Error): Partial<Record<"cause" | "errors" | "error" | "suppressed", unknown>> & {
  name: string;
  message: string;
} {
  const { name, message, cause, errors, error: last, suppressed } = error as Error & Record<string, unknown>;
  return { name, message: hideQueries(message), cause, errors, error: suppressed && last, suppressed };
}

/**
 * A request as its method and its URL without the query, where secrets and personal data live, a response as its status:
 * of the web platform, of Node, of a framework. `undefined` where `value` is neither.
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

/** What an object has to say: what its `toJSON` gives; its name, where it is alive rather than data. */
function contentOf(value: unknown, key: string): unknown {
  if (!isObject(value)) return value;
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") {
    const content: unknown = toJSON.call(value, key);
    return knownAs(content) ?? content;
  }
  return isInstance(value) && isAlive(value) ? `[${nameOf(value)}]` : value;
}

/** Whether `value` is a socket, a stream, a server, an element of a page, or an object of the platform that shows nothing. */
function isAlive(value: object): boolean {
  if ("addEventListener" in value || ("on" in value && "emit" in value)) return true;
  return tagOf(value) !== "Object" && Object.keys(value).length === 0;
}

/** A URL up to its query or fragment, without credentials; of one without a host (`data:`) its scheme, and its media type. */
export function withoutQuery(url: string | URL): string {
  return `${url}`
    .replace(/^(data:[^,;]{0,99}|[a-z][\w+.-]*:(?!\/\/)).*/is, "$1")
    .replace(/[?#].*/s, "")
    .replace(USER_INFO, "//");
}
