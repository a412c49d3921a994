// Stands between a page and Opik: holds the key, sets project and workspace, and refuses everything that a page must not write.
// Refusals are in refusal.ts, rows in rows.ts, tokens in token.ts.

import { Delivery } from "../deliver/delivery.js";
import { warnOfSettings } from "../deliver/destination.js";
import type { FlushReport } from "../deliver/report.js";
import { sourceOf } from "../deliver/source.js";
import { isOfScores, uploadOf } from "../deliver/upload.js";
import { invalid, numberFrom, OpikError, ownOf, Reporter } from "../errors.js";
import { type Names, refuseUnknown, tellUnknown } from "../names.js";
import { now, environment as platform } from "../platform/env.js";
import { isOrigin, targetsError } from "../record/targets.js";
import { CLIENT_SETTINGS, resolveConfig } from "../resolve-settings.js";
import { allow } from "../server/cors.js";
import { silence } from "../server/trace-request.js";
import type { OpikConfig, Settings, TargetMatch } from "../settings.js";
import { checkProof } from "./proof.js";
import { Refusal } from "./refusal.js";
import { type PageBatch, parseBatch, stampRows } from "./rows.js";
import { checkTokens, isAlive, readTokenFor, TOLERANCE_MS, type TokenClaims, type Tokens } from "./token.js";

/** A rate-limit binding of a Worker. */
export interface RateLimiter {
  /**
   * Counts a request under `key`: the caller's address (for IPv6 its network, `2001:db8:1:2::/64`), or the page's origin if the
   * address is unknown.
   */
  limit(options: { readonly key: string }): Promise<{
    /** `true` if the request may pass. */
    readonly success: boolean;
  }>;
}

/** Settings of a relay. Client settings fall back to the same OPIK_* variables. */
export interface RelayConfig
  extends Pick<
    OpikConfig,
    | "apiKey"
    | "workspace"
    | "projectName"
    | "service"
    | "url"
    | "environment"
    | "env"
    | "transport"
    | "onError"
    | "onDrop"
  > {
  /**
   * The origins of the pages that may write: exact ones, `*.suffix` (https, any port), `http://*.suffix`, or a function of the
   * parsed origin. The default is the relay's own origin, as reported by the browser (`Sec-Fetch-Site: same-origin`). Browsers
   * send that header over https and on localhost.
   */
  readonly origins?: readonly TargetMatch[] | undefined;
  /** Requires a token; without this setting everyone who can call the relay may write. */
  readonly tokens?: Tokens | undefined;
  /**
   * Lets pages score threads (default false). Such a score shows on a whole conversation, whoever wrote it. With tokens a page can
   * score only the thread that its token names (`threadId` of `mintToken`).
   */
  readonly threadScores?: boolean | undefined;
  /** A Worker's rate-limit binding, asked by the caller's address, or a function that decides if a request may pass. */
  readonly rateLimit?: RateLimiter | ((request: Request) => boolean | Promise<boolean>) | undefined;
  /** The longest body, in bytes (1 to 100 MB, default 1 MB). */
  readonly maxBytes?: number | undefined;
  /**
   * Time after its expiry for which a token still delivers rows from its life, in ms (0 to 24 h, default 24 h, for pages that
   * were offline). The times in rows prove nothing: a thief of the token can choose them freely for that long. Scores need a
   * token that has not expired.
   */
  readonly lateMs?: number | undefined;
}

const WHAT = "setting of a relay";
const SETTINGS: Names<RelayConfig> = {
  apiKey: 0,
  workspace: 0,
  projectName: 0,
  service: 0,
  url: 0,
  environment: 0,
  env: 0,
  transport: 0,
  onError: 0,
  onDrop: 0,
  origins: 0,
  tokens: 0,
  threadScores: 0,
  rateLimit: 0,
  maxBytes: 0,
  lateMs: 0,
};

/** Default of `maxBytes`. */
const MAX_BYTES = 1024 * 1024;
/** Maximum of `maxBytes`: Cloudflare accepts no larger body. */
const MOST_BYTES = 100 * MAX_BYTES;
/** Time for a body to arrive. */
const BODY_TIMEOUT_MS = 10_000;
/** Time for Opik to answer. */
const FORWARD_TIMEOUT_MS = 10_000;
/** Number of times that a refused batch is split here. The page splits it further. */
const MAX_SPLITS = 4;
/** Default and maximum of `lateMs`: Opik refuses older rows. */
const LATE_MS = 24 * 60 * 60 * 1000;
/** The `Retry-After` of a caller that must wait. */
const RETRY_SECONDS = 30;

/**
 * A handler for the rows of pages: `(request) => Promise<Response>`, for every server with a `fetch`-style handler. Throws an
 * `OpikError` (`invalid_config`) for invalid settings; the handler itself never rejects.
 *
 * @example
 * ```ts
 * import { relay } from "opik-edge/relay";
 *
 * const toOpik = relay({ origins: ["https://app.example.com"] });
 *
 * export default {
 *   async fetch(request: Request): Promise<Response> {
 *     if (new URL(request.url).pathname === "/opik") return toOpik(request);
 *     return new Response("the page");
 *   },
 * };
 * ```
 */
export function relay(config: RelayConfig): (request: Request) => Promise<Response> {
  // A misspelt relay setting could open access, so it throws. Settings of a client that it ignores are only reported.
  const { token: _, ...client } = CLIENT_SETTINGS;
  refuseUnknown(config, WHAT, { ...client, ...SETTINGS });
  const {
    origins: named,
    tokens,
    threadScores: scores,
    rateLimit,
    maxBytes: mostBytes = MAX_BYTES,
    lateMs: late = LATE_MS,
    ...own
  } = ownOf(config);
  const origins = named ?? undefined; // JavaScript callers may pass null
  const threadScores = scores ?? false;
  if (typeof threadScores !== "boolean") throw invalid("threadScores", "a boolean", threadScores);
  const resolved = resolveConfig({ ...own, background: false });
  const settings: Settings = {
    ...resolved,
    // A failure to deliver the pages' rows must not stop the server's own deliveries.
    destination: () => `relay ${resolved.destination()}`,
    requestHeaders: (isCompressed) => resolved.requestHeaders(isCompressed, "browser"),
  };
  const maxBytes = numberFrom("maxBytes", mostBytes, 1, MOST_BYTES);
  const lateMs = numberFrom("lateMs", late, 0, LATE_MS);
  const stamp = { projectName: settings.projectName as string, environment: settings.environment };
  if (origins !== undefined) {
    const wrong = targetsError("origins", origins);
    if (wrong) throw wrong;
    if (origins.length === 0) {
      throw new OpikError(
        "invalid_config",
        "origins: expected at least one: leave it out for pages of the relay's own origin",
      );
    }
  }
  if (tokens) checkTokens(tokens);
  const reporter = new Reporter(config);
  tellUnknown(reporter, config, WHAT, SETTINGS);
  warnOfSettings(settings, reporter);

  const handle = async (request: Request): Promise<void> => {
    if (request.method !== "POST") throw new Refusal("method_not_allowed", "only POST is answered");
    checkHeaders(request);
    if (!(await mayPass(request, rateLimit))) throw new Refusal("rate_limited", "too many requests");
    const batch = parseBatch(await readBody(request, maxBytes));
    if (batch.kind === "thread_scores" && !threadScores) {
      throw new Refusal("invalid", "thread_scores: `threadScores` of this relay is off");
    }
    const claims = await checkToken(batch, request, tokens, stamp.projectName, lateMs);
    const rows = stampRows(batch, stamp, claims, now());
    if (claims) checkProof(batch, claims);
    await forward(batch, rows);
  };

  const forward = async ({ kind }: PageBatch, rows: string[]): Promise<void> => {
    const encoder = new TextEncoder();
    const upload = uploadOf(
      kind,
      rows.map((row) => encoder.encode(row)),
    );
    if (upload.body.byteLength > settings.limits.batchBytes) {
      throw new Refusal("too_large", "the rows are longer than what carries them on takes");
    }
    let splits = MAX_SPLITS;
    upload.splitAt = ({ rows }) => (splits-- > 0 ? rows >> 1 : 0);
    const delivery = new Delivery(sourceOf([upload]), settings, reporter);
    const report = await delivery.flush({ timeoutMs: FORWARD_TIMEOUT_MS, isLast: true });
    checkReport(report);
  };

  return async (request) => {
    silence(request);
    const headers = new Headers({ vary: origins ? "origin" : "sec-fetch-site" });
    const stranger = origins ? refuseOrigin(request, origins) : refuseOtherSite(request);
    if (stranger) return answer(stranger, headers);
    // A page of the relay's own origin can read the answer without CORS headers.
    if (origins) headers.set("access-control-allow-origin", request.headers.get("origin") as string);
    headers.set("access-control-expose-headers", "retry-after");
    if (request.method === "OPTIONS") return allow(headers, ["POST"], ["content-type"]);
    try {
      await handle(request);
      return Response.json({ now: now() }, { headers });
    } catch (error) {
      if (error instanceof Refusal) return answer(error, headers);
      reporter.failure(error);
      return answer(new Refusal("unavailable", "the relay failed"), headers);
    }
  };
}

/** The refusal of a page outside `origins`. Its answer has no CORS headers, so the page cannot read it. */
function refuseOrigin({ headers }: Request, origins: readonly TargetMatch[]): Refusal | undefined {
  const origin = headers.get("origin");
  if (!origin || origin === "null" || !URL.canParse(origin)) {
    return new Refusal("origin_missing", "only pages may write here, and say where they come from");
  }
  return isOrigin(origin, origins) ? undefined : new Refusal("origin_forbidden", `${origin} must not write here`);
}

/**
 * The refusal of a page outside the relay's own origin. The browser sets the header, and no page can change it (Fetch Metadata).
 * `Host`, by contrast, is under the control of the sender or a proxy.
 */
function refuseOtherSite({ headers }: Request): Refusal | undefined {
  const site = headers.get("sec-fetch-site");
  if (site === "same-origin") return undefined;
  return site === null
    ? new Refusal(
        "origin_missing",
        "Sec-Fetch-Site is missing, which browsers send over https and on localhost: name the pages' origins in the relay's `origins`",
      )
    : new Refusal("origin_forbidden", "only pages of this origin may write here: name others in the relay's `origins`");
}

function checkHeaders({ headers }: Request): void {
  if (headers.has("content-encoding")) throw new Refusal("content_encoding", "expected a body that is not compressed");
  const type = headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type !== "text/plain" && type !== "application/json") {
    throw new Refusal("content_type", "expected text/plain or application/json");
  }
}

async function mayPass(request: Request, rateLimit: RelayConfig["rateLimit"]): Promise<boolean> {
  if (rateLimit === undefined) return true;
  if (typeof rateLimit === "function") return await rateLimit(request);
  const address = request.headers.get("cf-connecting-ip");
  const key = address === null ? (request.headers.get("origin") ?? "") : networkOf(address);
  return (await rateLimit.limit({ key })).success;
}

/** The first 64 bits of an IPv6 address, because one subscriber has the whole network. IPv4 stays as it is, also within IPv6. */
function networkOf(address: string): string {
  const url = `http://[${address}]`;
  if (!URL.canParse(url)) return address;
  const [head = "", tail] = new URL(url).hostname.slice(1, -1).split("::");
  const groups = head.split(":");
  const left = tail?.split(":") ?? [];
  const missing = tail === undefined ? 0 : 8 - groups.length - left.length;
  const network = [...groups, ...Array<string>(missing).fill("0"), ...left].slice(0, 4).map((group) => group || "0");
  return network.every((group) => group === "0") ? address : `${network.join(":")}::/64`;
}

async function readBody(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = new Refusal("too_large", `the body is longer than ${maxBytes} bytes`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge;
  const reader = request.body?.getReader();
  if (!reader) return "";
  const readAll = async (): Promise<string> => {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.byteLength;
      if (bytes > maxBytes) throw tooLarge;
      text += decoder.decode(value, { stream: true });
    }
  };
  let stop = (): void => {};
  const tooSlow = new Promise<never>((_, reject) => {
    stop = platform.after(BODY_TIMEOUT_MS, () => reject(new Refusal("too_slow", "the body took too long to arrive")));
  });
  try {
    // One race for the whole body: a race per chunk would retain memory for each of a million chunks.
    return await Promise.race([readAll(), tooSlow]);
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error instanceof Refusal ? error : new Refusal("malformed", "the body broke off");
  } finally {
    stop();
  }
}

/** The claims of the token, if the relay requires a token. */
async function checkToken(
  { token, kind }: PageBatch,
  request: Request,
  tokens: Tokens | undefined,
  projectName: string,
  lateMs: number,
): Promise<TokenClaims | undefined> {
  if (!tokens) return undefined;
  if (token === undefined) throw new Refusal("token_missing", "expected a token");
  const claims = await readTokenFor(request, token, tokens);
  if (claims?.projectName !== projectName) {
    throw new Refusal("token_invalid", "the token is forged, or for another relay, project or session");
  }
  // Rows of the token's life may arrive later, because each row's time is checked too. A score has no time.
  const isInTime = isOfScores(kind) ? isAlive(claims) : now() <= claims.expiresMs + TOLERANCE_MS + lateMs;
  if (!isInTime) throw new Refusal("token_expired", "the token's time is over, or has not come");
  return claims;
}

function checkReport({ dropped }: FlushReport): void {
  const [reason] = Object.keys(dropped);
  if (reason === undefined) return;
  if (reason === "rejected") throw new Refusal("rejected", "Opik refuses a row");
  if (reason.startsWith("too_")) throw new Refusal("clock_skew", "Opik refuses an id for its time");
  if (reason === "payload_too_large") throw new Refusal("too_large", "Opik takes no body of this size");
  if (reason === "rate_limited") throw new Refusal("rate_limited", "Opik asks to wait");
  throw new Refusal("unavailable", "Opik cannot be reached now");
}

/** The answer reveals no secrets of the relay: no key, no URL, no message from Opik. */
function answer({ code, status, message }: Refusal, headers: Headers): Response {
  if (status === 429 || status === 502) headers.set("retry-after", `${RETRY_SECONDS}`);
  if (status === 405) headers.set("allow", "POST, OPTIONS");
  return Response.json({ code, message, now: now() }, { status, headers });
}
