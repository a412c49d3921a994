// Trace headers in JavaScript: reads them from carriers of any shape (incoming), and decides which target gets which
// spelling (outgoing). src/headers.rs interprets the values; without the core this file does.

import { isObject } from "../errors.js";
import { getCore } from "../platform/core.js";
import { isBrowser } from "../platform/env.js";
import { idTime } from "../platform/ids.js";
import type { HeaderSpelling, HeaderTarget, PropagateTo, TargetMatch, TraceFormat } from "../settings.js";
import type { OpenSpan, Span } from "./model.js";
import { matchesTarget } from "./targets.js";

/** Names the caller's trace: a UUIDv7. The official SDKs use the same name. */
export const OPIK_TRACE_ID_HEADER = "opik_trace_id";
/** Names the caller's current span: a UUIDv7. The official SDKs use the same name. */
export const OPIK_PARENT_SPAN_ID_HEADER = "opik_parent_span_id";

/** Carries a page's token to a Worker that trusts only signed callers: see `trust` of `withOpik`. */
export const OPIK_TOKEN_HEADER = "opik-token";

/** `true` for printable ASCII in one line, which every `fetch` accepts as a header's value. */
export function isHeaderValue(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** Hyphenated names of the two headers, for servers that drop names with underscores. */
export const HYPHEN_NAMES: readonly [trace: string, parent: string] = ["opik-trace-id", "opik-parent-span-id"];

/** Every spelling of the two headers that is written. */
export const NAMES: readonly string[] = [OPIK_TRACE_ID_HEADER, OPIK_PARENT_SPAN_ID_HEADER, ...HYPHEN_NAMES];

/** The number of Opik's names, which W3C's follow. */
export const OPIK_NAMES = 6;

/** W3C's headers. */
const W3C_NAMES = ["traceparent", "tracestate", "baggage"] as const;

/** Every header that may be read, in the order of `Incoming`. A Go SDK of others writes the third spelling. */
export const ALL_NAMES: readonly string[] = [
  ...NAMES,
  "x-opik-trace-id",
  "x-opik-parent-span-id",
  ...W3C_NAMES,
  OPIK_TOKEN_HEADER,
];

/** The headers that are read and replaced with the setting `propagation`. */
export function namesFor(propagation: readonly TraceFormat[]): readonly string[] {
  const w3c = W3C_NAMES.filter((name) => propagation.includes(name === "baggage" ? name : "w3c"));
  return [...ALL_NAMES.slice(0, OPIK_NAMES), ...w3c];
}

/** The raw values found, in the order of `ALL_NAMES`. */
export type Incoming = (string | undefined)[];

/**
 * The header names that a traced call must not forward, because they belong to the caller of this service: `names`, and the
 * token. A page keeps the token, since it has its own.
 */
export function ofCaller(names: readonly string[]): readonly string[] {
  return isBrowser() ? names : [...names, OPIK_TOKEN_HEADER];
}

/** The raw values of our headers (or of `names`) in `carrier`; `undefined` when it has none of them. Never throws. */
export function readIncoming(carrier: unknown, names: readonly string[] = ALL_NAMES): Incoming | undefined {
  try {
    return read(carrier, names);
  } catch {
    return undefined; // a hostile or revoked object counts as having no headers
  }
}

function read(carrier: unknown, names: readonly string[]): Incoming | undefined {
  if (!isObject(carrier) || names.length === 0) return undefined;
  const inner = (carrier as { headers?: unknown }).headers;
  if (isObject(inner)) return read(inner, names);
  const found: Incoming = [];
  if (typeof (carrier as Headers).get === "function" && !(carrier instanceof Map)) {
    for (const name of names) add(found, name, (carrier as Headers).get(name));
  } else {
    const pairs = Symbol.iterator in carrier ? (carrier as Iterable<unknown>) : Object.entries(carrier);
    for (const pair of pairs) {
      if (!Array.isArray(pair) || typeof pair[0] !== "string") continue;
      const name = pair[0].toLowerCase();
      if (names.includes(name)) add(found, name, pair[1]);
    }
  }
  return found.length > 0 ? found : undefined;
}

/** Repeated headers are joined as HTTP joins them (RFC 9110 §5.3); the core takes equal parts. */
function add(found: Incoming, name: string, value: unknown): void {
  if (value === null || value === undefined) return;
  const index = ALL_NAMES.indexOf(name);
  const text = Array.isArray(value) ? value.join(",") : String(value);
  found[index] = found[index] === undefined ? text : `${found[index]},${text}`;
}

/**
 * The headers that pass a context on. Written here and not in the core, so that they work without it: after a trap, or
 * where WebAssembly is blocked. `outgoing` in src/headers.rs is its twin.
 */
export function headerMap(traceId: string, spanId: string, spelling: HeaderSpelling): Record<string, string> {
  return {
    ...(spelling !== "hyphen" && { opik_trace_id: traceId, opik_parent_span_id: spanId }),
    ...(spelling !== "underscore" && { "opik-trace-id": traceId, "opik-parent-span-id": spanId }),
  };
}

/** `headerMap` for `span`; `undefined` without both ids, since the Python side fails on a single id. */
export function opikHeaders(span: Span | undefined, spelling: HeaderSpelling): Record<string, string> | undefined {
  return span?.traceId && span.id ? headerMap(span.traceId, span.id, spelling) : undefined;
}

/** The `traceparent` and the `tracestate` in `incoming`, without values that no `fetch` would accept. */
export function contextIn(incoming: Incoming | undefined): Incoming {
  if (!incoming || incoming.length <= OPIK_NAMES) return [];
  return incoming.slice(OPIK_NAMES, OPIK_NAMES + 2).map((value = "") => (/^[\t -~]*$/.test(value) ? value : undefined));
}

/** The core answers in the rest of its scratch, which has 64 KB. No common server accepts headers of this length, in characters. */
const MAX_CONTEXT_CHARS = 16_384;

/**
 * W3C's headers for a call in `span` that has the headers `own`; `undefined` if the settings ask for none. Where nothing is
 * recorded, the headers that came in go on unchanged. A target that is not allowed gets only the headers that somebody else has
 * set on the call.
 */
export function traceContext(
  { id, trace }: OpenSpan,
  own: Incoming | undefined,
  isAllowed: unknown,
): Record<string, string> | undefined {
  const { scope, came } = trace;
  const { names } = scope.settings;
  if (names.length === OPIK_NAMES) return undefined;
  let [parent, state, baggage] = own?.slice(OPIK_NAMES) ?? [];
  if (!parent || came.includes(parent)) [parent, state] = isAllowed ? came : [];
  let values = [parent, state, baggage];
  if (isAllowed && trace.recording && id) {
    try {
      const text = [trace.id + id, ...values, ...came].join("\n");
      if (text.length < MAX_CONTEXT_CHARS) values = getCore().traceContext(text);
    } catch (error) {
      scope.reporter.failure(error);
    }
  }
  const all = W3C_NAMES.map((name, index) => [name, values[index]]);
  return Object.fromEntries(all.filter(([name, value]) => value && names.includes(name as string)));
}

/** The caller's trace, and its current span if it named one. */
export interface Claim {
  readonly traceId: string;
  readonly spanId: string | undefined;
}

/** Longest accepted value, in characters, and how far an id may be ahead of the clock. */
const MAX_VALUE_CHARS = 256;
const MAX_AHEAD_MS = 5 * 60 * 1000;

/**
 * The caller that `incoming` claims at `nowMs` (ms since 1970), for spans that only pass it on: without a core, or with
 * tracing off. `read` in src/headers.rs is its twin; tests/vectors/headers.json keeps the two alike.
 */
export function readClaim(incoming: Incoming | undefined, nowMs: number): Claim | undefined {
  // Split into lines, as in the text that is passed to the core.
  const [trace, parent, ...hyphens] = incoming?.join("\n").split("\n", OPIK_NAMES) ?? [];
  const traceId = readId(trace, nowMs);
  if (traceId) return { traceId, spanId: readId(parent, nowMs) };
  return hyphens.length > 0 ? readClaim(hyphens as Incoming, nowMs) : undefined;
}

/** One id in lower case with hyphens; `v,v` counts as one id. */
function readId(value = "", nowMs: number): string | undefined {
  if (value.trim().length > MAX_VALUE_CHARS) return undefined;
  const [id = "", ...others] = value.split(",").map((part) => part.replace(LENIENT_ID, "$1-$3-$4-$5-$6").toLowerCase());
  // `idTime` gives `undefined` for an invalid id, and this comparison is then false.
  const isOne = others.every((other) => other === id);
  return isOne && (idTime(id) as number) <= nowMs + MAX_AHEAD_MS ? id : undefined;
}

/** An id as the SDKs and proxies write it: in any case, with or without hyphens, surrounded by ASCII white space. */
const LENIENT_ID = /^[\t\n\f\r ]*(\w{8})(-?)(\w{4})\2(\w{4})\2(\w{4})\2(\w{12})[\t\n\f\r ]*$/;

/**
 * Removes every spelling of our headers from `target`, and off a page the token too, then sets `map`. A forwarded request
 * still carries its sender's headers. An immutable or frozen target is copied.
 */
export function injectInto<T extends HeaderTarget>(
  target: T,
  map: Record<string, string>,
  names: readonly string[],
): T {
  const [set, copy] =
    target instanceof Headers
      ? [setHeaders, () => new Headers(target)]
      : [setRecord, () => ({ ...(target as Record<string, string>) })];
  try {
    return set(target as never, map, names) as T;
  } catch {
    return set(copy() as never, map, names) as T; // immutable, or frozen
  }
}

/**
 * `headers` in any form that `fetch` takes, with `map` replacing our headers; a forwarded request still carries its
 * sender's. The form stays the same, and the host's object is not changed. Any other value is returned as it is. An iterator is
 * read only now, so `beside` tells which headers go beside its own.
 */
export function addHeaders(
  headers: unknown,
  map: Record<string, string>,
  names: readonly string[],
  beside: (own: Incoming | undefined) => Record<string, string>,
): unknown {
  try {
    if (headers === undefined) return map;
    if (!isObject(headers)) return headers;
    if (typeof (headers as Headers).append === "function") {
      // A DOM library may have replaced the global class.
      const Class = headers.constructor as typeof Headers;
      return setHeaders(new Class(headers as Headers), map, names);
    }
    if (!(Symbol.iterator in headers)) return setRecord({ ...(headers as Record<string, string>) }, map, names);
    const pairs = [...(headers as Iterable<readonly unknown[]>)];
    const all = { ...map, ...beside(readIncoming(pairs, names)) };
    return [...pairs.filter(([name]) => !names.includes(String(name).toLowerCase())), ...Object.entries(all)];
  } catch {
    return headers;
  }
}

function setRecord(
  record: Record<string, string>,
  map: Record<string, string>,
  names: readonly string[],
): Record<string, string> {
  for (const name of Object.keys(record)) {
    if (names.includes(name.toLowerCase())) delete record[name];
  }
  return Object.assign(record, map);
}

function setHeaders(headers: Headers, map: Record<string, string>, names: readonly string[]): Headers {
  for (const name of names) headers.delete(name);
  for (const [name, value] of Object.entries(map)) headers.set(name, value);
  return headers;
}

/** The targets that may get headers. The Opik API itself never does. */
export interface Propagation {
  /** The base URL of the Opik API. */
  readonly url: URL;
  readonly propagateTo: readonly PropagateTo[] | undefined;
}

/** The part of a target that can carry a spelling. */
type Spelt = Partial<Exclude<PropagateTo, TargetMatch>>;

/** The spelling in which `url` gets the headers, or `undefined` if it gets no headers. */
export function spellingFor(url: URL, propagation: Propagation): HeaderSpelling | undefined {
  const { propagateTo } = propagation;
  if (isBelow(url, propagation.url)) return undefined;
  for (const target of propagateTo ?? []) {
    const { to = target as TargetMatch, spelling = "both" }: Spelt = Object(target);
    if (matchesTarget(url, to)) return spelling;
  }
  const page = pageOrigin();
  if (page !== undefined) return url.origin === page && page !== "null" ? "both" : undefined;
  return propagateTo === undefined ? "both" : undefined;
}

function isBelow(url: URL, base: URL): boolean {
  return url.origin === base.origin && `${url.pathname}/`.startsWith(`${base.pathname.replace(/\/$/, "")}/`);
}

/** The page's origin in a browser (a window or a worker of a page), `undefined` elsewhere. */
function pageOrigin(): string | undefined {
  const { location } = globalThis as { location?: { origin: string } };
  return isBrowser() ? location?.origin : undefined;
}
