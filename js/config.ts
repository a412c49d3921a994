// Where a client's settings come from: arguments, then OPIK_* variables of the Worker's `env`,
// of `Deno.env` or of `process.env`, then defaults. Validates them once; next: opik.ts.

import { type OnError, OpikError } from "./errors.js";
import type { PropagateTo } from "./headers.js";

/** The API of Opik Cloud. A self-hosted one is `http://localhost:5173/api` by default. */
export const DEFAULT_URL = "https://www.comet.com/opik/api";

/** The longest environment name the API takes (`environment` of `Span_Write`). */
const MAX_ENVIRONMENT_CHARS = 150;

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
  /** `true` records and sends nothing; the caller's ids still travel on (`OPIK_TRACK_DISABLE`). */
  readonly disabled?: boolean | undefined;
  /**
   * Which targets of `fetch` are given trace headers. Off the browser it narrows (default: every
   * target but the Opik API itself), in a browser it widens (default: the same origin only).
   */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Where OPIK_* variables are read before the process's own: a Worker's `env`. */
  readonly env?: object | undefined;
  /** Told of every loss, and once of each kind of misuse (default `console.warn`). */
  readonly onError?: OnError | undefined;
}

/** Validated settings, with every default filled in. */
export interface Settings {
  readonly apiKey: string | undefined;
  readonly workspace: string;
  readonly projectName: string;
  readonly url: URL;
  readonly environment: string | undefined;
  readonly disabled: boolean;
  readonly propagateTo: readonly PropagateTo[] | undefined;
}

/**
 * The settings that `config` and the variables give.
 * Throws an `OpikError` (`invalid_config`) that names the field and what was expected.
 */
export function resolveConfig(config: OpikConfig): Settings {
  const read = (field: string, given: unknown, variable: string): string | undefined => {
    const value = given ?? readVariable(config.env, variable);
    if (value === undefined || value === "") return undefined;
    if (typeof value === "string") return value;
    throw invalid(field, "a string", value);
  };
  const disabled = config.disabled ?? /^(1|true|yes|on)$/i.test(readVariable(config.env, "OPIK_TRACK_DISABLE") ?? "");
  if (typeof disabled !== "boolean") throw invalid("disabled", "a boolean", disabled);

  const url = parseUrl(read("url", config.url, "OPIK_URL_OVERRIDE") ?? DEFAULT_URL);
  const apiKey = read("apiKey", config.apiKey, "OPIK_API_KEY")?.trim();
  if (apiKey !== undefined && !isHeaderValue(apiKey)) throw invalid("apiKey", "printable ASCII", "[hidden]");
  if (!apiKey && !disabled && isCloud(url)) {
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
  checkTargets(config.propagateTo);
  return { apiKey, workspace, projectName, url, environment, disabled, propagateTo: config.propagateTo };
}

/** Opik Cloud is exactly `comet.com` or a host below it: a suffix match alone would take `evilcomet.com`. */
function isCloud(url: URL): boolean {
  return url.hostname === "comet.com" || url.hostname.endsWith(".comet.com");
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw invalid("url", "an absolute http or https URL", text);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw invalid("url", "an http or https URL", text);
  if (url.username || url.password) throw invalid("url", "no user name or password in it", "[hidden]");
  url.search = "";
  url.hash = "";
  url.pathname = url.pathname.replace(/\/+$/, "");
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

function invalid(field: string, expected: string, got: unknown): OpikError {
  const shown = typeof got === "string" ? JSON.stringify(got) : String(got);
  return new OpikError("invalid_config", `${field}: expected ${expected}, got ${shown}`);
}

interface Platform {
  readonly process?: { readonly env?: Record<string, string | undefined> };
  readonly Deno?: {
    readonly env: { get(name: string): string | undefined };
    readonly permissions: { querySync(what: { name: "env"; variable: string }): { state: string } };
  };
}

function readVariable(env: object | undefined, name: string): string | undefined {
  const own = (env as Record<string, unknown> | undefined)?.[name];
  if (typeof own === "string") return own;
  const { process, Deno } = globalThis as Platform;
  try {
    // Deno asks its user, or throws, at a read that was not granted; so ask for the state first.
    if (Deno !== undefined) {
      const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
      return granted ? Deno.env.get(name) : undefined;
    }
    return process?.env?.[name];
  } catch {
    return undefined;
  }
}
