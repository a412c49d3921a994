// Short-lived tokens: what a server gives its pages so that nobody else writes through its relay.
// `v1.<payload>.<mac>`: the payload is JSON in base64url, the mac HMAC-SHA256 over all before it (RFC 2104).

import { invalid, numberFrom, OpikError, ownOf } from "../errors.js";
import { type Names, refuseUnknown } from "../names.js";
import { fromBase64Url, toBase64Url } from "../platform/base64url.js";
import { isWorker, now, TIMES } from "../platform/env.js";
import { idTime } from "../platform/ids.js";

/** A secret, and the name by which a token says that it was made with it. */
export interface TokenSecret {
  /** In every token, in the clear. */
  readonly id: string;
  /** At least 32 characters. */
  readonly secret: string;
}

/** Whose tokens are believed. */
export interface Tokens {
  /** One or two: while a secret is replaced both the new and the old one are good. */
  readonly secrets: readonly TokenSecret[];
  /** The origin that tokens have to be minted for. Off Workers it is required: there a request's URL has the host that its caller names. */
  readonly audience?: string | undefined;
  /** The session that a request belongs to, as the server knows it; compared with the token's, where that has one. */
  readonly session?: ((request: Request) => string | undefined) | undefined;
  /** The same for the conversation that a request belongs to, where a server is to join its trace; a relay reads it in the rows. */
  readonly thread?: ((request: Request) => string | undefined) | undefined;
}

/** What a token says. */
export interface TokenClaims {
  /** The origin of the relay it is for, such as `https://app.example.com`. */
  readonly audience: string;
  /** The project that may be written to. */
  readonly projectName: string;
  /** The user's session, as the relay can tell it from the request. */
  readonly session?: string | undefined;
  /** The conversation: rows of another are refused. */
  readonly threadId?: string | undefined;
  /**
   * A trace that may be written into and scored although it was begun elsewhere: by a server, or before a reload. A UUIDv7; "", as a
   * span has it that is not recorded, is none.
   */
  readonly traceId?: string | undefined;
  /** Not before this time, in ms since 1970. */
  readonly notBeforeMs: number;
  /** Not after this time, in ms since 1970. */
  readonly expiresMs: number;
}

/** What to mint a token for. */
export interface MintOptions
  extends Pick<TokenClaims, "audience" | "projectName" | "session" | "threadId" | "traceId"> {
  /** What it is signed with. */
  readonly secret: TokenSecret;
  /** How long it is good for, in ms (up to 24 h, default 15 minutes); rows that began as long before may be written with it too. */
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
/** The longest token that is looked at. */
const MAX_TOKEN_CHARS = 2048;

/** Clocks differ. */
export const TOLERANCE_MS: number = 60_000;
/** The longest life of a token: a row may be a day old. */
const MAX_LIFETIME_MS = 24 * 60 * 60 * 1000;

/**
 * A token for a page. Call it on the server. Rejects with an `OpikError` (`invalid_config`) that names what is wrong: a secret that is
 * too short, a lifetime that is no number of ms up to 24 h, an audience that is no http or https URL.
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

/** Throws an `OpikError` (`invalid_config`) where there is no secret, one that can be guessed, or nobody who the tokens are for. */
export function checkTokens(tokens: Tokens): void {
  const { secrets, audience } = ownOf(tokens);
  if (!Array.isArray(secrets) || secrets.length === 0) throw invalid("tokens.secrets", "at least one", secrets);
  refuseUnknown(tokens, "setting of a relay", TOKENS, "tokens.");
  for (const secret of secrets) checkSecret(secret);
  const ids = new Set(secrets.map(({ id }) => id));
  if (ids.size < secrets.length) throw invalid("tokens.secrets", "ids that differ", secrets);
  // Elsewhere a request's URL has the host that its caller names.
  if (audience !== undefined || !isWorker()) originOf("tokens.audience", audience);
}

function checkSecret(given: TokenSecret): void {
  const { id, secret } = given ?? {}; // JavaScript may say null
  if (typeof id === "string" && typeof secret === "string" && secret.length >= MIN_SECRET_CHARS) return;
  throw new OpikError("invalid_config", `secret: expected an id and at least ${MIN_SECRET_CHARS} characters`);
}

/** The origin of an http or https URL: that of any other scheme is "null", as are all of them. */
function originOf(field: string, url = ""): string {
  const origin = URL.canParse(url) ? new URL(url).origin : "";
  if (!origin.startsWith("http")) throw invalid(field, "an http or https URL", url);
  return origin;
}

/**
 * What `token` says, if one of the secrets made it for whom `request` is sent to; else `undefined`. Times are not looked
 * at. Never rejects.
 */
export async function readTokenFor(request: Request, token: unknown, tokens: Tokens): Promise<TokenClaims | undefined> {
  try {
    const claims = await readToken(token, tokens.secrets);
    const { audience = request.url, session } = ownOf(tokens);
    const isSessions = claims?.session === undefined || claims.session === session?.(request);
    return claims?.audience === originOf("audience", audience) && isSessions ? claims : undefined;
  } catch {
    return undefined; // no base64url, no JSON
  }
}

/** Whether a token with these claims is good now. */
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
  // `verify` takes the same time wherever the macs differ.
  if (!(await subtle().verify("HMAC", await keyOf(secret, "verify"), fromBase64Url(mac), signed))) return undefined;
  const { aud, prj, sid, thr, trc, nbf, exp } = payload;
  // Versions before this one have signed times that are none.
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

/** The part of `crypto` that is not random. */
function subtle(): SubtleCrypto {
  // biome-ignore lint/style/noRestrictedGlobals: it gives no random bytes
  return crypto.subtle;
}

function keyOf({ secret }: TokenSecret, use: "sign" | "verify"): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  return subtle().importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [use]);
}
