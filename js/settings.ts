// Where a client's settings come from: arguments, then OPIK_* variables of the Worker's `env`,
// of `Deno.env` or of `process.env`, then defaults. Validates them once; next: opik.ts.

import type { Outbox } from "./browser/outbox.js";
import type { TokenSource } from "./browser/relay-transport.js";
import { fetchTransport, type Transport } from "./deliver/transport.js";
import { invalid, numberFrom, type OnDrop, type OnError, ownOf, type Reporter, readOption } from "./errors.js";
import { type BufferLimits, getCore } from "./platform/core.js";
import { isServer } from "./platform/env.js";
import { page } from "./platform/page.js";
import { type HeaderPair, type PropagateTo, resolveUrl } from "./record/headers.js";
import { REDACTED } from "./record/json.js";
import { type Redact, type RedactOptions, redactor } from "./record/redact.js";

/** The API of Opik Cloud. A self-hosted one is `http://localhost:5173/api` by default. */
export const DEFAULT_URL = "https://www.comet.com/opik/api";

/** The longest environment name the API takes (`environment` of `Span_Write`). */
const MAX_ENVIRONMENT_CHARS = 150;

/** Signals that end a process and may wait for a flush. */
export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** How much is recorded, in bytes of JSON. What is cut says so in its place, with its original size. */
export interface Limits {
  /** Of one field (4 KB to 3 MB, default 1 MB: longer than any model reads). A single string is cut at half of it. */
  readonly fieldBytes?: number | undefined;
  /** Of one span or trace row (16 KB to 3 MB, default 2 MB: a prompt and its answer). The longest fields go first. */
  readonly spanBytes?: number | undefined;
  /** Of the spans that one trace has here (at least 16 KB, default 6 MB); the fields of further ones are cut short. */
  readonly traceBytes?: number | undefined;
  /** Of what waits to be sent (64 KB to 8 MB, default 8 MB). Beyond it the oldest rows are dropped, and counted. */
  readonly bufferBytes?: number | undefined;
}

/** Which share of the traces that begin here is recorded, 0 to 1; a function is given the name of the trace's root. */
export type SampleRate = number | ((name: string) => number);

/** Settings of a client. Each falls back to its variable, then to its default. */
export interface OpikConfig {
  /** The raw API key, sent as `Authorization` (`OPIK_API_KEY`). Required on Opik Cloud. */
  readonly apiKey?: string | undefined;
  /** Sent as `Comet-Workspace` (`OPIK_WORKSPACE`, default `default`). */
  readonly workspace?: string | undefined;
  /** The project of every row (`OPIK_PROJECT_NAME`, default `Default Project`). It does not travel with the headers. */
  readonly projectName?: string | undefined;
  /** The base URL of the API, http or https (`OPIK_URL_OVERRIDE`, default Opik Cloud). */
  readonly url?: string | undefined;
  /** The environment of every row, at most 150 characters (`OPIK_ENVIRONMENT`, default none). */
  readonly environment?: string | undefined;
  /**
   * A relay of yours that holds the key, for pages: absolute, or as seen from the page. Instead of `url` and `apiKey`. Off a
   * page, as in server-rendered code, such a client is disabled.
   */
  readonly relayUrl?: string | undefined;
  /** What the relay asks for: a token, or where to get one. */
  readonly token?: TokenSource | undefined;
  /** `true` records and sends nothing; the caller's ids still travel on (`OPIK_TRACK_DISABLE`). */
  readonly disabled?: boolean | undefined;
  /**
   * Which targets of `fetch` are given trace headers. Off the browser it narrows (default: every
   * target but the Opik API itself), in a browser it widens (default: the same origin only).
   */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Where OPIK_* variables are read before the process's own: a Worker's `env`. */
  readonly env?: object | undefined;
  /**
   * Which share of the traces that begin here is recorded, 0 to 1 (default 1). Decided from the trace's id; a trace that
   * is not recorded sends no headers. A caller's trace is always followed, so 0 only follows.
   */
  readonly sampleRate?: SampleRate | undefined;
  /** What is masked in everything that is recorded, before it is cut, stored or sent (default nothing). */
  readonly redact?: RedactOptions | undefined;
  /** `false` records no `input` (default `true`). */
  readonly recordInputs?: boolean | undefined;
  /** `false` records no `output` (default `true`). */
  readonly recordOutputs?: boolean | undefined;
  /** How much is recorded, and waits to be sent. */
  readonly limits?: Limits | undefined;
  /** What carries the uploads: a service binding, a queue, a test's memory (default the platform's `fetch`). */
  readonly transport?: Transport | undefined;
  /**
   * Whether what is recorded outside any invocation is sent by itself: every 2 s, when there is much of it, and before
   * the process exits or the page is left (default `true` in Node, Deno and Bun, and in a page with a relay, else `false`; a
   * Durable Object may set it).
   */
  readonly background?: boolean | undefined;
  /** Signals that are held up for a flush, and raised again after it (default none). Needs `background`. */
  readonly signals?: readonly Signal[] | undefined;
  /** Told of every kind of misuse once, and of what was not delivered once for each flush (default `console.warn`). */
  readonly onError?: OnError | undefined;
  /** Told of the rows that are lost, once for each reason and flush. */
  readonly onDrop?: OnDrop | undefined;
}

/** Validated settings, with every default filled in. */
export interface Settings {
  /** The headers of an upload. The key is in them and nowhere else: settings are looked at, printed, and held by what is current. */
  readonly requestHeaders: (isCompressed: boolean) => HeaderPair[];
  /** `text` without the key, which a backend may repeat where it refuses it. */
  readonly withoutKey: (text: string) => string;
  readonly workspace: string;
  /** `undefined` where a relay pins it. */
  readonly projectName: string | undefined;
  readonly url: URL;
  /** The same as text, for a path to be appended. */
  readonly baseUrl: string;
  /** Names where it sends to, and as whom: with the key. */
  readonly destination: () => string;
  readonly environment: string | undefined;
  /** The project and the environment as they stand in every row; "" where there is none. */
  readonly projectJson: string;
  readonly environmentJson: string;
  readonly disabled: boolean;
  readonly propagateTo: readonly PropagateTo[] | undefined;
  readonly sampleRate: SampleRate;
  readonly redact: Redact | undefined;
  readonly recordInputs: boolean;
  readonly recordOutputs: boolean;
  readonly limits: BufferLimits & { readonly traceBytes: number };
  readonly transport: Transport;
  /** Whether the process outlives its requests; asked once, since some platforms make up what tells it. */
  readonly isServer: boolean;
  /** Whether rows and key go where others may read them. */
  readonly isInsecure: boolean;
  /** Where a page keeps its rows until they are delivered. */
  readonly outbox: Outbox | undefined;
  readonly background: boolean;
  readonly signals: readonly Signal[];
}

/**
 * The settings that `config` and the variables give.
 * Throws an `OpikError` (`invalid_config`) that names the field and what was expected.
 */
export function resolveConfig(given: OpikConfig): Settings {
  const config = ownOf(given);
  const read = (field: string, given: unknown, variable: string): string | undefined => {
    const value = given ?? readVariable(config.env, variable);
    if (value === undefined || value === "") return undefined;
    if (typeof value === "string") return value;
    throw invalid(field, "a string", value);
  };
  const isSwitch = (field: "disabled" | "recordInputs" | "recordOutputs" | "background", preset: boolean): boolean => {
    const value = config[field] ?? preset;
    if (typeof value !== "boolean") throw invalid(field, "a boolean", value);
    return value;
  };
  const relayUrl = config.relayUrl ?? undefined; // JavaScript may say null, here and below
  const client = relayUrl === undefined ? undefined : page();
  const isOffPage = relayUrl !== undefined && client === undefined;
  const asksToDisable = /^(1|true|yes|on)$/i.test(readVariable(config.env, "OPIK_TRACK_DISABLE") ?? "");
  const disabled = isSwitch("disabled", asksToDisable) || isOffPage;

  const url = parseUrl(
    client && relayUrl !== undefined
      ? (resolveUrl(relayUrl)?.href ?? relayUrl)
      : (read("url", config.url, "OPIK_URL_OVERRIDE") ?? DEFAULT_URL),
  );
  const server = isServer();
  const baseUrl = url.href.replace(/\/$/, "");
  const apiKey = read("apiKey", config.apiKey, "OPIK_API_KEY")?.trim();
  if (apiKey !== undefined && !isHeaderValue(apiKey)) throw invalid("apiKey", "printable ASCII", apiKey);
  // What carries the uploads elsewhere may well hold the key there.
  if (relayUrl !== undefined && config.apiKey) throw invalid("apiKey", "none: the relay holds it", config.apiKey);
  const isPlain = url.protocol === "http:";
  if (isPlain && isCloud(url)) throw invalid("url", "https, as Opik Cloud is", url.protocol);
  if (!apiKey && !disabled && !relayUrl && !config.transport && isCloud(url)) {
    throw invalid("apiKey", "an API key: Opik Cloud needs one (OPIK_API_KEY)", undefined);
  }
  const workspace = (read("workspace", config.workspace, "OPIK_WORKSPACE") ?? "default").trim();
  if (!workspace || !isHeaderValue(workspace)) throw invalid("workspace", "printable ASCII", workspace);
  const projectName = read("projectName", config.projectName, "OPIK_PROJECT_NAME") ?? "Default Project";
  if (!projectName.trim()) throw invalid("projectName", "a name that is not blank", projectName);
  const environment = read("environment", config.environment, "OPIK_ENVIRONMENT");
  if (environment !== undefined && environment.length > MAX_ENVIRONMENT_CHARS) {
    throw invalid("environment", `at most ${MAX_ENVIRONMENT_CHARS} characters`, environment);
  }
  checkTargets(config.propagateTo ?? undefined);
  const carrier = client?.relayTransport(url) ?? fetchTransport;
  const sampleRate = config.sampleRate ?? 1;
  const transport = config.transport ?? carrier;
  const signals = config.signals ?? [];
  if (typeof sampleRate !== "function" && !isShare(sampleRate)) {
    throw invalid("sampleRate", "a number from 0 to 1, or a function", sampleRate);
  }
  if (typeof transport?.fetch !== "function") throw invalid("transport", "an object with a fetch method", transport);
  if (!Array.isArray(signals) || !signals.every((signal) => SIGNALS.includes(signal))) {
    throw invalid("signals", `some of ${SIGNALS}`, signals);
  }
  const limits = resolveLimits(config.limits, transport);
  // A relay pins it.
  const recordedProject = relayUrl === undefined ? projectName : undefined;
  return {
    requestHeaders: (isCompressed) => getCore().requestHeaders(apiKey, workspace, isCompressed),
    withoutKey: (text) => (apiKey ? text.replaceAll(apiKey, REDACTED) : text),
    workspace,
    projectName: recordedProject,
    url,
    baseUrl,
    destination: () => `${baseUrl} ${workspace} ${apiKey}`,
    environment,
    projectJson: recordedProject === undefined ? "" : JSON.stringify(recordedProject),
    environmentJson: environment === undefined ? "" : JSON.stringify(environment),
    disabled,
    propagateTo: config.propagateTo ?? undefined,
    sampleRate,
    redact: resolveRedact(config.redact ?? undefined, limits.fieldBytes),
    recordInputs: isSwitch("recordInputs", true),
    recordOutputs: isSwitch("recordOutputs", true),
    limits,
    transport,
    outbox: disabled ? undefined : client?.openOutbox(url, config.token),
    isServer: server,
    isInsecure: isPlain && !disabled && transport === fetchTransport && !LOOPBACK.test(url.hostname),
    background: isSwitch("background", server || client !== undefined),
    signals,
  };
}

/** A host of this machine. */
const LOOPBACK = /^((.*\.)?localhost|127(\.\d+){3}|\[::1])$/;

const SIGNALS: readonly Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Whether `value` is a number from 0 to 1. */
export function isShare(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function resolveRedact(options: RedactOptions | undefined, fieldBytes: number): Redact | undefined {
  if (options === undefined) return undefined;
  try {
    return redactor(ownOf(options), fieldBytes);
  } catch {
    throw invalid("redact", "keys, patterns and a replace function", options);
  }
}

const KB = 1024;
const MB = 1024 * KB;
/** Of bytes: more than there can be. Of ms: a hundred years and more. */
const MAX_NUMBER = 2 ** 42;

function resolveLimits(given: Limits | undefined, { maxBodyBytes, clockOffsetMs }: Transport): Settings["limits"] {
  const limits = ownOf(given);
  const read = (field: keyof Limits, least: number, most: number, preset: number): number =>
    numberFrom(`limits.${field}`, limits[field] ?? preset, least, most);
  // A service binding has every property, as a method.
  const bodyBytes =
    typeof maxBodyBytes === "number" ? numberFrom("transport.maxBodyBytes", maxBodyBytes, 32 * KB, MAX_NUMBER) : 4 * MB;
  if (typeof clockOffsetMs === "number") {
    numberFrom("transport.clockOffsetMs", clockOffsetMs, -MAX_NUMBER, MAX_NUMBER, Number.isFinite);
  }
  const bufferBytes = read("bufferBytes", 64 * KB, 8 * MB, 8 * MB);
  return {
    fieldBytes: read("fieldBytes", 4 * KB, 3 * MB, MB),
    rowBytes: read("spanBytes", 16 * KB, 3 * MB, 2 * MB),
    traceBytes: read("traceBytes", 16 * KB, 2 ** 31, 6 * MB),
    bufferBytes,
    batchBytes: Math.min(bodyBytes, 4 * MB, bufferBytes),
  };
}

/** Opik Cloud is exactly `comet.com` or a host below it: a suffix match alone would take `evilcomet.com`. */
function isCloud(url: URL): boolean {
  return /(^|\.)comet\.com\.?$/.test(url.hostname);
}

/** Tells once of a URL by which rows and key can be read on the way. */
export function warnOfInsecureUrl({ isInsecure }: Settings, reporter: Reporter): void {
  if (isInsecure) reporter.once("insecure_url", "`url` is plain http: rows and key can be read on the way");
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw invalid("url", "an absolute http or https URL without user name and password", text);
  }
  url.search = "";
  url.hash = "";
  let { length } = url.pathname;
  while (url.pathname[length - 1] === "/") length -= 1;
  url.pathname = url.pathname.slice(0, length);
  return url;
}

function checkTargets(targets: unknown): void {
  if (targets === undefined) return;
  if (!Array.isArray(targets)) throw invalid("propagateTo", "an array of targets", targets);
  for (const target of targets as PropagateTo[]) {
    const to: unknown = typeof target === "object" && target !== null ? target.to : target;
    const ok = typeof to === "function" || (typeof to === "string" && (to.startsWith("*.") || URL.canParse(to)));
    if (!ok) throw invalid("propagateTo", 'an origin, "*.suffix" or a function', to);
  }
}

function isHeaderValue(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

interface Platform {
  readonly process?: { readonly env?: Record<string, string | undefined> };
  readonly Deno?: {
    readonly env: { get(name: string): string | undefined };
    readonly permissions: { querySync(what: { name: "env"; variable: string }): { state: string } };
  };
}

function readVariable(env: object | undefined, name: string): string | undefined {
  const own = readOption(env as Record<string, unknown> | undefined, name);
  if (typeof own === "string") return own;
  try {
    const Deno = readOption(globalThis as Platform, "Deno");
    // Deno asks its user, or throws, at a read that was not granted; so ask for the state first.
    if (Deno !== undefined) {
      const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
      return granted ? Deno.env.get(name) : undefined;
    }
    const value: unknown = readOption(readOption(globalThis as Platform, "process")?.env, name);
    return typeof value === "string" ? value : undefined; // in a page it may be an element
  } catch {
    return undefined;
  }
}
