// Short-lived tokens: what a server gives its pages so that nobody else writes through its relay.
// `v1.<payload>.<mac>`: the payload is JSON in base64url, the mac HMAC-SHA256 over all before it (RFC 2104).

import { now } from "./env.js";
import { OpikError } from "./errors.js";

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
  /** The origin that tokens have to be minted for (default that of the request). */
  readonly audience?: string | undefined;
  /** The session that a request belongs to, as the server knows it; compared with the token's, where that has one. */
  readonly session?: ((request: Request) => string | undefined) | undefined;
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
  /** Not before this time, in ms since 1970. */
  readonly notBeforeMs: number;
  /** Not after this time, in ms since 1970. */
  readonly expiresMs: number;
}

/** What to mint a token for. */
export interface MintOptions extends Pick<TokenClaims, "audience" | "projectName" | "session" | "threadId"> {
  /** What it is signed with. */
  readonly secret: TokenSecret;
  /** How long it is good for, in ms (default 15 minutes); rows that began as long before may be written with it too. */
  readonly lifetimeMs?: number | undefined;
  /** The time of now, in ms since 1970. */
  readonly nowMs?: number | undefined;
}

/** The payload on the wire. */
interface Payload {
  readonly kid: string;
  readonly aud: string;
  readonly prj: string;
  readonly sid?: string | undefined;
  readonly thr?: string | undefined;
  readonly nbf: number;
  readonly exp: number;
}

const LIFETIME_MS = 15 * 60 * 1000;
const MIN_SECRET_CHARS = 32;
/** The longest token that is looked at. */
const MAX_TOKEN_CHARS = 2048;

/** A token for a page. Call it on the server. Rejects with an `OpikError` (`invalid_config`) when the secret is too short. */
export async function mintToken(options: MintOptions): Promise<string> {
  const { secret, audience, projectName, session, threadId, lifetimeMs = LIFETIME_MS, nowMs = now() } = options;
  checkSecret(secret);
  const payload: Payload = {
    kid: secret.id,
    aud: new URL(audience).origin,
    prj: projectName,
    sid: session,
    thr: threadId,
    nbf: nowMs - lifetimeMs,
    exp: nowMs + lifetimeMs,
  };
  const signed = `v1.${toBase64Url(new TextEncoder().encode(JSON.stringify(payload)))}`;
  const mac = await subtle().sign("HMAC", await keyOf(secret, "sign"), new TextEncoder().encode(signed));
  return `${signed}.${toBase64Url(new Uint8Array(mac))}`;
}

/** Throws an `OpikError` (`invalid_config`) where there is no secret, or one that can be guessed. */
export function checkTokens({ secrets, audience }: Tokens): void {
  if (!Array.isArray(secrets) || secrets.length === 0) {
    throw new OpikError("invalid_config", "tokens.secrets: expected at least one");
  }
  for (const secret of secrets) checkSecret(secret);
  if (audience !== undefined && !URL.canParse(audience)) {
    throw new OpikError("invalid_config", `tokens.audience: expected an origin, got ${JSON.stringify(audience)}`);
  }
}

function checkSecret({ id, secret }: TokenSecret): void {
  if (typeof id === "string" && typeof secret === "string" && secret.length >= MIN_SECRET_CHARS) return;
  throw new OpikError("invalid_config", `secret: expected an id and at least ${MIN_SECRET_CHARS} characters`);
}

/**
 * What `token` says, if one of the secrets made it for whom `request` is sent to; else `undefined`. Times are not looked
 * at. Never rejects.
 */
export async function readTokenFor(request: Request, token: unknown, tokens: Tokens): Promise<TokenClaims | undefined> {
  try {
    const claims = await readToken(token, tokens.secrets);
    const { audience = new URL(request.url).origin, session } = tokens;
    const isSessions = claims?.session === undefined || claims.session === session?.(request);
    return claims?.audience === new URL(audience).origin && isSessions ? claims : undefined;
  } catch {
    return undefined; // no base64, no JSON
  }
}

/** When a token expires, as it says itself, in ms since 1970; `undefined` where that can not be read. */
export function tokenExpiry(token: string): number | undefined {
  try {
    const { exp } = JSON.parse(new TextDecoder().decode(fromBase64Url(token.split(".")[1] ?? ""))) as Partial<Payload>;
    return exp;
  } catch {
    return undefined;
  }
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
  const { aud, prj, sid, thr, nbf, exp } = payload;
  return { audience: aud, projectName: prj, session: sid, threadId: thr, notBeforeMs: nbf, expiresMs: exp };
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

function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/==?$/, "");
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]+$/.test(text)) throw new SyntaxError("not base64url");
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
}
