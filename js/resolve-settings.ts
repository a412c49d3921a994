// Resolves and validates a client's settings. Arguments come first, then the OPIK_* variables of the Worker's `env`, of
// `Deno.env` or of `process.env`, then the defaults. Next: opik.ts.

import { clients, host, parts } from "#host";
import type { Outbox, Page } from "./deliver/model.js";
import { fetchTransport } from "./deliver/transport.js";
import { invalid, isObject, numberFrom, OpikError, ownOf, readOption } from "./errors.js";
import { type Names, unknownNames } from "./names.js";
import { getCore } from "./platform/core.js";
import { isBrowser, isServer, environment as platform, runtimeName } from "./platform/env.js";
import { isHeaderValue, namesFor } from "./record/headers.js";
import { REDACTED } from "./record/json.js";
import { redactor } from "./record/redact.js";
import { resolveUrl, targetsError } from "./record/targets.js";
import type {
  Limits,
  OpikConfig,
  PropagateTo,
  Redact,
  RedactOptions,
  Settings,
  Signal,
  TargetMatch,
  Transport,
} from "./settings.js";

/** The version of the package, which the build fills in. */
declare const VERSION: string;

/** The API of Opik Cloud. A self-hosted API is at `http://localhost:5173/api` by default. */
export const DEFAULT_URL = "https://www.comet.com/opik/api";

/** The message for an application without any settings. */
const NO_KEY =
  "apiKey: expected an API key: set OPIK_API_KEY, or OPIK_URL_OVERRIDE for your own Opik, in the process's environment, " +
  "for a Worker in .dev.vars and by wrangler secret put";

/** The longest environment name the API takes (`environment` of `Span_Write`). */
const MAX_ENVIRONMENT_CHARS = 150;

const TEXT = "a string";
const FUNCTION = "a function";
const TEXT_OR_FUNCTION = "a string or a function";
const SWITCH = "a boolean";

/** Settings of clients, of servers (`trust`) and of Workers (`native`). The value is the expected type, if only the type is checked. */
export const CLIENT_SETTINGS: Names<OpikConfig & { trust: unknown; native: unknown }> = {
  apiKey: TEXT,
  workspace: TEXT,
  projectName: TEXT,
  service: "a string or the boolean false",
  url: TEXT,
  environment: TEXT,
  threadId: TEXT_OR_FUNCTION,
  relayUrl: TEXT,
  token: TEXT_OR_FUNCTION,
  disabled: SWITCH,
  propagateTo: 0,
  propagation: 0,
  env: "an object",
  sampleRate: 0,
  redact: 0,
  recordInputs: SWITCH,
  recordOutputs: SWITCH,
  observe: 0,
  limits: 0,
  maxIdAgeMs: 0,
  transport: 0,
  background: SWITCH,
  signals: 0,
  onError: FUNCTION,
  onDrop: FUNCTION,
  trust: 0,
  native: SWITCH,
};
const LIMITS: Names<Limits> = { fieldBytes: 0, spanBytes: 0, traceBytes: 0, bufferBytes: 0 };
const REDACT: Names<RedactOptions> = { keys: 0, patterns: 0, replace: 0 };
const TARGET: Names<Exclude<PropagateTo, TargetMatch>> = { to: 0, spelling: 0 };

/** Settings that restrict recording, sending or trust: without them too much gets through. */
const GUARDS = /redact|recordInputs|recordOutputs|disabled|trust/;

/**
 * One sentence for each unknown setting, to be reported: a typo should not cost all traces. Throws an `OpikError`
 * (`invalid_config`) if the name resembles a setting that restricts recording, sending or trust.
 */
export function unknownSettings(config: OpikConfig): string[] {
  const what = "setting of opik-edge";
  const { limits, redact, propagateTo } = ownOf(config);
  const targets = Array.isArray(propagateTo) ? propagateTo.filter(isObject) : [];
  const found = [
    ...unknownNames(redact, what, REDACT, "redact."),
    ...unknownNames(config, what, CLIENT_SETTINGS),
    ...unknownNames(limits, what, LIMITS, "limits."),
    ...targets.flatMap((target) => unknownNames(target, what, TARGET, "propagateTo.")),
  ];
  const wrong = found.find((sentence) => GUARDS.test(sentence));
  if (wrong) throw new OpikError("invalid_config", wrong);
  return found;
}

/** Settings that record nothing. They read no variable, since a malformed one may be why nothing is recorded. */
export function offSettings(): Settings {
  return resolveConfig({
    disabled: true,
    url: "",
    apiKey: "",
    workspace: "",
    projectName: "",
    environment: "",
    service: false,
  });
}

/**
 * The settings from `config` and the variables.
 * Throws an `OpikError` (`invalid_config`) that names the field and the expected value.
 */
export function resolveConfig(given: OpikConfig): Settings {
  const config = ownOf(given);
  const unknown = unknownSettings(given);
  const read = (given: string | undefined, variable: string): string | undefined =>
    (given ?? readVariable(config.env, variable)) || undefined;
  for (const [field, expected] of Object.entries(CLIENT_SETTINGS)) {
    const value = config[field as keyof OpikConfig] ?? undefined; // JavaScript callers may pass null, here and below
    if (value !== undefined && expected && !`${expected}`.includes(typeof value))
      throw invalid(field, `${expected}`, value);
  }
  const relayUrl = config.relayUrl ?? undefined;
  const client = relayUrl === undefined ? undefined : page();
  const isOffPage = relayUrl !== undefined && client === undefined;
  const asksToDisable = /^(1|true|yes|on)$/i.test(readVariable(config.env, "OPIK_TRACK_DISABLE") ?? "");
  let disabled = (config.disabled ?? asksToDisable) || isOffPage;

  const url = parseUrl(
    client && relayUrl !== undefined
      ? (resolveUrl(relayUrl)?.href ?? relayUrl)
      : (read(config.url, "OPIK_URL_OVERRIDE") ?? DEFAULT_URL),
  );
  const server = isServer();
  const baseUrl = url.href.replace(/\/$/, "");
  const apiKey = read(config.apiKey, "OPIK_API_KEY")?.trim();
  if (apiKey !== undefined && !isHeaderValue(apiKey)) throw invalid("apiKey", HEADER_VALUE, apiKey);
  if (relayUrl !== undefined && config.apiKey) throw invalid("apiKey", "none: the relay holds it", config.apiKey);
  const isHttp = url.protocol === "http:";
  if (isHttp && isCloud(url)) throw invalid("url", "https, as Opik Cloud is", url.protocol);
  // The host's own transport may add the key.
  if (!apiKey && !disabled && !relayUrl && !config.transport && isCloud(url)) {
    disabled = platform.redirect !== undefined;
    if (!disabled) throw new OpikError("invalid_config", NO_KEY);
  }
  const workspace = (read(config.workspace, "OPIK_WORKSPACE") ?? "default").trim();
  if (!workspace || !isHeaderValue(workspace)) throw invalid("workspace", HEADER_VALUE, workspace);
  const projectName = read(config.projectName, "OPIK_PROJECT_NAME") ?? "Default Project";
  if (!projectName.trim()) throw invalid("projectName", "a name that is not blank", projectName);
  const service = config.service !== false && read(config.service, "OPIK_SERVICE");
  if (service && !isHeaderValue(service)) throw invalid("service", HEADER_VALUE, service);
  const environment = read(config.environment, "OPIK_ENVIRONMENT");
  if (environment !== undefined && environment.length > MAX_ENVIRONMENT_CHARS) {
    throw invalid("environment", `at most ${MAX_ENVIRONMENT_CHARS} characters`, environment);
  }
  const threadId = config.threadId ?? undefined;
  const wrong = targetsError("propagateTo", config.propagateTo ?? []);
  if (wrong) throw wrong;
  const carrier = client?.relayTransport(url) ?? fetchTransport;
  const sampleRate = config.sampleRate ?? 1;
  const transport = config.transport ?? carrier;
  const signals = config.signals ?? [];
  if (typeof sampleRate !== "function") numberFrom("sampleRate", sampleRate, 0, 1, Number.isFinite);
  if (typeof transport?.fetch !== "function") throw invalid("transport", "an object with a fetch method", transport);
  if (!Array.isArray(signals) || !signals.every((signal) => SIGNALS.includes(signal))) {
    throw invalid("signals", `some of ${SIGNALS}`, signals);
  }
  const observe = config.observe ?? [];
  if (!Array.isArray(observe) || !observe.every((one) => typeof one?.follow === "function")) {
    throw invalid("observe", "an array of observers", observe);
  }
  const propagation = Array.from(config.propagation ?? ["opik" as const]);
  if (!FORMATS.test(`${propagation.sort()}`)) {
    throw invalid("propagation", "some of opik and w3c, and baggage beside them", config.propagation);
  }
  const limits = resolveLimits(config.limits, transport);
  // A relay sets the project itself.
  const recordedProject = relayUrl === undefined ? projectName : undefined;
  return {
    requestHeaders: (isCompressed, by = runtimeName()) => {
      const headers = getCore().requestHeaders(apiKey, workspace, isCompressed);
      if (service !== false && !isBrowser()) headers.push(["x-opik-edge", `${VERSION}; ${by}; ${service ?? ""}`]);
      return headers;
    },
    withoutKey: (text) => (apiKey ? text.replaceAll(apiKey, REDACTED) : text),
    workspace,
    projectName: recordedProject,
    url,
    baseUrl,
    destination: () => `${baseUrl} ${workspace} ${apiKey}`,
    environment,
    threadId,
    projectJson: recordedProject === undefined ? "" : JSON.stringify(recordedProject),
    environmentJson: environment === undefined ? "" : JSON.stringify(environment),
    disabled,
    propagateTo: config.propagateTo ?? undefined,
    propagation,
    names: namesFor(propagation),
    sampleRate,
    redact: resolveRedact(config.redact ?? undefined, limits.fieldBytes),
    recordInputs: config.recordInputs ?? true,
    recordOutputs: config.recordOutputs ?? true,
    observe,
    limits,
    maxIdAgeMs: numberFrom("maxIdAgeMs", config.maxIdAgeMs ?? 24 * HOUR_MS, HOUR_MS, 45 * 24 * HOUR_MS),
    transport,
    isServer: server,
    enlist: server ? clients?.add : undefined,
    host,
    isInsecure: isHttp && !disabled && transport === fetchTransport && !LOOPBACK.test(url.hostname),
    background: config.background ?? (server || client !== undefined),
    signals,
    unknown,
  };
}

/** Host names of this machine. */
const LOOPBACK = /^((.*\.)?localhost|127(\.\d+){3}|\[::1])$/;

/** The values of `propagation`, in alphabetical order. */
const FORMATS = /^(baggage,)?(opik|(opik,)?w3c)$/;

const SIGNALS: readonly Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

function resolveRedact(options: RedactOptions | undefined, fieldBytes: number): Redact | undefined {
  if (options === undefined) return undefined;
  return redactor(ownOf(options), fieldBytes);
}

const HOUR_MS = 60 * 60 * 1000;
const KB = 1024;
const MB = 1024 * KB;
/** More bytes than exist, and more than a hundred years in ms. */
const MAX_NUMBER = 2 ** 42;

function resolveLimits(given: Limits | undefined, { maxBodyBytes, clockOffsetMs }: Transport): Settings["limits"] {
  const limits = ownOf(given);
  const read = (field: keyof Limits, least: number, most: number, preset: number): number =>
    numberFrom(`limits.${field}`, limits[field] ?? preset, least, most);
  // A service binding answers to every property name, with a method.
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

/** Opik Cloud is `comet.com` or a host below it. A plain suffix match would include `evilcomet.com`. */
function isCloud(url: URL): boolean {
  return /(^|\.)comet\.com\.?$/.test(url.hostname);
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw invalid(
      "url",
      "an absolute URL with http:// or https:// and without user name and password (OPIK_URL_OVERRIDE)",
      text,
    );
  }
  url.search = "";
  url.hash = "";
  let { length } = url.pathname;
  while (url.pathname[length - 1] === "/") length -= 1;
  url.pathname = url.pathname.slice(0, length);
  return url;
}

const HEADER_VALUE = "printable ASCII in one line";

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
    // Deno prompts or throws when a read was not granted, so query the permission first.
    if (Deno !== undefined) {
      const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
      return granted ? Deno.env.get(name) : undefined;
    }
    const value: unknown = readOption(readOption(globalThis as Platform, "process")?.env, name);
    return typeof value === "string" ? value : undefined; // in a page, `process` may be an element
  } catch {
    return undefined;
  }
}

/** The parts that exist only in a page; `undefined` elsewhere, for example in server-rendered code. */
export function page(): Page | undefined {
  return isBrowser() ? parts : undefined;
}

/** The store that holds a page's rows until its relay has accepted them; `undefined` elsewhere. */
export function openOutbox({ relayUrl, token }: OpikConfig, { disabled, url }: Settings): Outbox | undefined {
  return disabled || (relayUrl ?? undefined) === undefined ? undefined : page()?.openOutbox(url, token);
}
