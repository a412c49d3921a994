// Short-lived tokens that a server gives to its pages, so that only they can write through its relay.
// `v1.<payload>.<mac>`: the payload is JSON in base64url, the mac is HMAC-SHA256 over everything before it (RFC 2104).

import { invalid, numberFrom, OpikError, ownOf } from "../errors.js";
import { type Names, refuseUnknown } from "../names.js";
import { fromBase64Url, toBase64Url } from "../platform/base64url.js";
import { isWorker, now, TIMES } from "../platform/env.js";
import { idTime } from "../platform/ids.js";

/** A secret, and the id by which tokens refer to it. */
export interface TokenSecret {
  /** Every token contains it as plain text. */
  readonly id: string;
  /** At least 32 characters. */
  readonly secret: string;
}

/** The tokens that a server accepts. */
export interface Tokens {
  /** Usually one. While you replace a secret, list the old and the new one: both are valid. */
  readonly secrets: readonly TokenSecret[];
  /** The origin in valid tokens. Required outside Workers, where the caller chooses the host in a request's URL. */
  readonly audience?: string | undefined;
  /** Returns the session of a request. It must equal the token's, if the token has a session. */
  readonly session?: ((request: Request) => string | undefined) | undefined;
  /** Returns the conversation of a request, for `trust`. A relay reads it from the rows. */
  readonly thread?: ((request: Request) => string | undefined) | undefined;
}

/** The content of a token. */
export interface TokenClaims {
  /** The origin of the token's relay, such as `https://app.example.com`. */
  readonly audience: string;
  /** The project that the token's bearer may write to. */
  readonly projectName: string;
  /** The user's session, which the relay must be able to derive from a request. */
  readonly session?: string | undefined;
  /** The conversation. Rows of other conversations are refused. */
  readonly threadId?: string | undefined;
  /**
   * A trace that the page may write into and score although it began elsewhere: on a server, or before a reload. A UUIDv7; "",
   * the trace id of an unrecorded span, counts as absent.
   */
  readonly traceId?: string | undefined;
  /** Start of the token's life, in ms since 1970. */
  readonly notBeforeMs: number;
  /** End of the token's life, in ms since 1970. */
  readonly expiresMs: number;
}

/** Options of `mintToken`. */
export interface MintOptions
  extends Pick<TokenClaims, "audience" | "projectName" | "session" | "threadId" | "traceId"> {
  /** The secret that signs the token. */
  readonly secret: TokenSecret;
  /** Life of the token in ms (up to 24 h, default 15 minutes). It also covers rows that began up to this long before. */
  readonly lifetimeMs?: number | undefined;
  /** The current time in ms since 1970, from the year 2020 to 2099 (default the clock). */
  readonly nowMs?: number | undefined;
}

const TOKENS: Names<Tokens> = { secrets: 0, audience: 0, session: 0, thread: 0 };
const MINT_OPTIONS: Names<MintOptions> = {
  secret: 0,
  audience: 0,
  projectName: 0,
  session: 0,
  threadId: 0,
  traceId: 0,
  lifetimeMs: 0,
  nowMs: 0,
};

/** The payload on the wire. */
interface Payload {
  readonly kid: string;
  readonly aud: string;
  readonly prj: string;
  readonly sid?: string | undefined;
  readonly thr?: string | undefined;
  readonly trc?: string | undefined;
  readonly nbf: number;
  readonly exp: number;
}

const LIFETIME_MS = 15 * 60 * 1000;
const MIN_SECRET_CHARS = 32;
/** The longest token that is parsed. */
const MAX_TOKEN_CHARS = 2048;

/** Allowed difference between clocks. */
export const TOLERANCE_MS: number = 60_000;
/** The longest life of a token: Opik accepts rows that are a day old. */
const MAX_LIFETIME_MS = 24 * 60 * 60 * 1000;

/**
 * Makes a token for a page. Call it on the server. Rejects with an `OpikError` (`invalid_config`) that names the invalid option: a
 * short secret, a lifetime other than a number of ms up to 24 h, or an audience other than an http or https URL.
 *
 * @example
 * ```ts
 * import { mintToken } from "opik-edge/relay";
 *
 * const secret = { id: "2026-11", secret: process.env["TOKEN_SECRET"] ?? "" }; // at least 32 characters
 *
 * export const token = await mintToken({ secret, audience: "https://app.example.com", projectName: "shop" });
 * ```
 */
export async function mintToken(options: MintOptions): Promise<string> {
  refuseUnknown(options, "option of mintToken", MINT_OPTIONS);
  const {
    secret,
    audience,
    projectName,
    session,
    threadId,
    traceId,
    lifetimeMs = LIFETIME_MS,
    nowMs = now(),
  } = ownOf(options);
  checkSecret(secret);
  numberFrom("lifetimeMs", lifetimeMs, 1, MAX_LIFETIME_MS, Number.isFinite);
  numberFrom("nowMs", nowMs, ...TIMES, Number.isFinite);
  if (typeof projectName !== "string" || !projectName.trim()) {
    throw invalid("projectName", "a name that is not blank", projectName);
  }
  for (const [field, text] of Object.entries({ session, threadId })) {
    if (text !== undefined && (typeof text !== "string" || !text)) throw invalid(field, "a string, or undefined", text);
  }
  const hasTrace = traceId !== undefined && traceId !== "";
  if (hasTrace && idTime(traceId) === undefined) throw invalid("traceId", "a UUIDv7", traceId);
  const payload: Payload = {
    kid: secret.id,
    aud: originOf("audience", audience),
    prj: projectName,
    sid: session,
    thr: threadId,
    trc: hasTrace ? traceId.toLowerCase() : undefined,
    nbf: nowMs - lifetimeMs,
    exp: nowMs + lifetimeMs,
  };
  const signed = `v1.${toBase64Url(new TextEncoder().encode(JSON.stringify(payload)))}`;
  const mac = await subtle().sign("HMAC", await keyOf(secret, "sign"), new TextEncoder().encode(signed));
  const token = `${signed}.${toBase64Url(new Uint8Array(mac))}`;
  if (token.length > MAX_TOKEN_CHARS) throw invalid("token", `at most ${MAX_TOKEN_CHARS} characters`, token.length);
  return token;
}

/** Throws an `OpikError` (`invalid_config`) if a secret is missing or too short, or a required audience is missing. */
export function checkTokens(tokens: Tokens): void {
  const { secrets, audience } = ownOf(tokens);
  if (!Array.isArray(secrets) || secrets.length === 0) throw invalid("tokens.secrets", "at least one", secrets);
  refuseUnknown(tokens, "setting of a relay", TOKENS, "tokens.");
  for (const secret of secrets) checkSecret(secret);
  const ids = new Set(secrets.map(({ id }) => id));
  if (ids.size < secrets.length) throw invalid("tokens.secrets", "ids that differ", secrets);
  // Elsewhere the caller chooses the host in a request's URL.
  if (audience !== undefined || !isWorker()) originOf("tokens.audience", audience);
}

function checkSecret(given: TokenSecret): void {
  const { id, secret } = given ?? {}; // JavaScript callers may pass null
  if (typeof id === "string" && typeof secret === "string" && secret.length >= MIN_SECRET_CHARS) return;
  throw new OpikError("invalid_config", `secret: expected an id and at least ${MIN_SECRET_CHARS} characters`);
}

/** The origin of an http or https URL. URLs of other schemes are refused, because they share the origin "null". */
function originOf(field: string, url = ""): string {
  const origin = URL.canParse(url) ? new URL(url).origin : "";
  if (!origin.startsWith("http")) throw invalid(field, "an http or https URL", url);
  return origin;
}

/**
 * The claims of `token` if one of the secrets signed it for the origin and session of `request`; else `undefined`. Does not check
 * times. Never rejects.
 */
export async function readTokenFor(request: Request, token: unknown, tokens: Tokens): Promise<TokenClaims | undefined> {
  try {
    const claims = await readToken(token, tokens.secrets);
    const { audience = request.url, session } = ownOf(tokens);
    const isSessions = claims?.session === undefined || claims.session === session?.(request);
    return claims?.audience === originOf("audience", audience) && isSessions ? claims : undefined;
  } catch {
    return undefined; // not base64url, or not JSON
  }
}

/** `true` if a token with these claims is valid now. */
export function isAlive({ notBeforeMs, expiresMs }: TokenClaims): boolean {
  return now() >= notBeforeMs - TOLERANCE_MS && now() <= expiresMs + TOLERANCE_MS;
}

async function readToken(token: unknown, secrets: readonly TokenSecret[]): Promise<TokenClaims | undefined> {
  if (typeof token !== "string" || token.length > MAX_TOKEN_CHARS) return undefined;
  const [version, body, mac, more] = token.split(".");
  if (version !== "v1" || !body || !mac || more !== undefined) return undefined;
  const payload: Payload = JSON.parse(new TextDecoder().decode(fromBase64Url(body)));
  const secret = secrets.find(({ id }) => id === payload.kid);
  if (!secret) return undefined;
  const signed = new TextEncoder().encode(`v1.${body}`);
  // `verify` compares the macs in constant time.
  if (!(await subtle().verify("HMAC", await keyOf(secret, "verify"), fromBase64Url(mac), signed))) return undefined;
  const { aud, prj, sid, thr, trc, nbf, exp } = payload;
  // Earlier versions signed times that were not numbers.
  if (![nbf, exp].every(Number.isFinite)) return undefined;
  return {
    audience: aud,
    projectName: prj,
    session: sid,
    threadId: thr,
    traceId: trc,
    notBeforeMs: nbf,
    expiresMs: exp,
  };
}

/** The part of `crypto` that involves no randomness. */
function subtle(): SubtleCrypto {
  // biome-ignore lint/style/noRestrictedGlobals: it gives no random bytes
  return crypto.subtle;
}

function keyOf({ secret }: TokenSecret, use: "sign" | "verify"): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  return subtle().importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [use]);
}
