// Follows one model call: passes its data to the reader, and records the result of the reader at the end.

import { namedError } from "../errors.js";
import { JsonText } from "../record/json.js";
import type { CallObservation, CallRecord, ObservedAnswer, ObservedCall } from "../settings.js";
import {
  abandonCall,
  type CallText,
  COMPLETE,
  FAILED,
  FIRST_TOKEN,
  finishCall,
  type Opened,
  openCall,
  readAnswer,
  readBytes,
  readRequest,
} from "./calls.js";
import type { LlmOptions } from "./options.js";
import { getReader, type Reader } from "./reader.js";

/** The longest body that is read, in characters. */
const MAX_BODY_CHARS = 8 * 1024 * 1024;

/** Headers of an answer that describe a call. None of them contains a secret. */
const HEADERS = [
  "content-type",
  "cf-aig-cache-status",
  "cf-aig-gateway-id",
  "cf-aig-log-id",
  "cf-aig-run-id",
  "cf-aig-step",
  "request-id",
  "x-amzn-errortype",
  "x-amzn-requestid",
  "x-request-id",
];

/** Host and path of a URL, without slashes at its end. */
export function targetOf(url: string): { readonly host: string; readonly path: string } {
  const [, authority = "", path = ""] = /^\w+:\/\/([^/?#]*)([^?#]*)/.exec(url) ?? [];
  let length = path.length;
  while (path[length - 1] === "/") length -= 1;
  return { host: authority.slice(authority.lastIndexOf("@") + 1), path: path.slice(0, length) };
}

/** The options of `llm()`, in the form that calls are compared with. */
export interface ResolvedOptions {
  /** Host names in lower case, in the order of `hostLines`. */
  readonly hosts: readonly string[];
  /** Hosts and their providers, each on its own line. */
  readonly hostLines: string;
  readonly includeUsage: boolean;
}

/** Normalizes options, so that the order of hosts does not matter. */
export function resolveOptions({ providers, includeUsage = false }: LlmOptions): ResolvedOptions {
  const lower = Object.entries(providers ?? {}).map(([host, provider]) => [host.toLowerCase(), provider] as const);
  const named = Object.entries(Object.fromEntries(lower.sort()));
  return { hosts: named.map(([host]) => host), hostLines: named.flat().join("\n"), includeUsage };
}

/** `true` if `names` contains the host, with its port or without. */
export function isNamed(host: string, names: readonly string[]): boolean {
  return names.includes(host) || names.includes(host.replace(/:\d+$/, ""));
}

/** Follows a call whose target may be a model; `undefined` if it is not a model. */
export function followModelCall(call: ObservedCall, options: ResolvedOptions): CallObservation | undefined {
  const text: CallText = { target: call.url, hosts: options.hostLines };
  const reader = getReader();
  const opened = openCall(reader, text, call.fieldBytes);
  return opened && new ModelCall(reader, opened, text, options);
}

class ModelCall implements CallObservation {
  readonly #reader: Reader;
  readonly #handle: number;
  readonly #text: CallText;
  readonly #asksForUsage: boolean;
  /** `true` if the target alone identifies a model. Otherwise the body must. */
  readonly #isKnown: boolean;
  readonly isForeign: boolean;
  readonly #isUniversal: boolean;
  /** The input as JSON, or ""; `undefined` until the body is known. */
  #input: string | undefined;
  /** The body of a universal request, kept until its answer names the entry that was used. */
  #body: string | undefined;
  #flags = 0;
  #ttft: number | undefined;

  constructor(reader: Reader, opened: Opened, text: CallText, { hosts, includeUsage }: ResolvedOptions) {
    this.#reader = reader;
    this.#handle = opened.handle;
    this.#text = text;
    this.#isKnown = opened.isKnown;
    this.#isUniversal = opened.isUniversal;
    const { host, path } = targetOf(text.target);
    this.isForeign = opened.isKnown && !isNamed(host, hosts);
    this.#asksForUsage = includeUsage && path.endsWith("/chat/completions");
  }

  request(body: string | undefined): boolean | string {
    if (body === undefined || body.length > MAX_BODY_CHARS) return this.#isKnown;
    this.#input = readRequest(this.#reader, this.#handle, this.#text, body, 0);
    if (this.#input === undefined) return false;
    if (this.#isUniversal) this.#body = body;
    return (this.#asksForUsage && withUsage(body)) || true;
  }

  answer({ status, header }: ObservedAnswer): void {
    const step = Number(header("cf-aig-step"));
    if (this.#body && step > 0) this.#input = readRequest(this.#reader, this.#handle, this.#text, this.#body, step);
    this.#body = undefined;
    const lines = HEADERS.flatMap((name) => {
      const value = header(name);
      return value === null ? [] : [name, value];
    });
    readAnswer(this.#reader, this.#handle, status, lines.join("\n"));
  }

  chunk(bytes: Uint8Array, ms: number): void {
    this.#flags = readBytes(this.#reader, this.#handle, bytes);
    if (this.#flags & FIRST_TOKEN) this.#ttft ??= ms;
  }

  end(): CallRecord | undefined {
    // Without its body, the call cannot be identified as a model call.
    if (!this.#isKnown && this.#input === undefined) return undefined;
    const read = finishCall(this.#reader, this.#handle);
    return (
      read && {
        type: "llm",
        name: JSON.parse(read.name),
        model: parsed<string>(read.model),
        provider: parsed<string>(read.provider),
        input: textOf(this.#input ?? ""),
        output: textOf(read.output),
        metadata: textOf(read.metadata) as Record<string, unknown> | undefined,
        usage: parsed<object>(read.usage),
        totalEstimatedCost: parsed<number>(read.totalEstimatedCost),
        ttft: this.#ttft,
        error: errorOf(parsed<string>(read.errorType), parsed<string>(read.errorMessage)),
        isComplete: (this.#flags & (COMPLETE | FAILED)) !== 0,
      }
    );
  }

  close(): void {
    abandonCall(this.#reader, this.#handle);
  }
}

function parsed<T>(json: string): T | undefined {
  return json === "" ? undefined : JSON.parse(json);
}

function textOf(json: string): JsonText | undefined {
  return json === "" ? undefined : new JsonText(json);
}

/** The error that a provider reported. */
function errorOf(type: string | undefined, message = ""): Error | undefined {
  return type === undefined ? undefined : namedError(type, message);
}

/** Asks for the usage at the end of a stream. `undefined` if `body` does not ask for a stream or sets `stream_options` itself. */
function withUsage(body: string): string | undefined {
  const { stream, stream_options } = objectOf(body);
  if (stream !== true || stream_options !== undefined) return undefined;
  return `${body.trimEnd().slice(0, -1)},"stream_options":{"include_usage":true}}`;
}

function objectOf(json: string): { readonly stream?: unknown; readonly stream_options?: unknown } {
  try {
    return Object(JSON.parse(json));
  } catch {
    return {}; // the provider reports the bad body
  }
}
