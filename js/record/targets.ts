// Origins in settings, for both `propagateTo` and `origins`: matches URLs against them, and suggests the spelling of an
// invalid one.

import { invalid, type OpikError, type Reporter, readOption } from "../errors.js";
import { ofNobody } from "../names.js";
import type { TargetMatch } from "../settings.js";

type Matches = (url: URL) => unknown;

/** Scheme, star and host of an origin or a suffix, also of a malformed one. */
const PARTS = /^([a-z][a-z\d+.-]*:\/\/)?(\*?\.?)([^*,]*)$/i;
/** A host rather than a single word, which could be anything, even a secret. */
const HOST = /[.:]|^localhost$/;
/** `true` for a host whose last label contains a letter, so that it is not an IP address. */
function isName(host: string): boolean {
  const at = host.lastIndexOf(".");
  return at >= 0 && !host.includes("]", at) && /[a-z]/i.test(host.slice(at));
}

/** A function that matches URLs of the origin `to`. For an invalid `to`, the text that was probably meant, or "". */
function read(to: unknown): Matches | string {
  if (typeof to === "function") return to as Matches;
  const [, given, star, rest = ""] = (typeof to === "string" && PARTS.exec(to)) || [];
  const text = (given ?? (star || isName(rest) ? "https://" : "http://")) + rest;
  if (!URL.canParse(text)) return "";
  const { href, protocol, host, hostname, port } = new URL(text);
  if (star ? !isName(`.${hostname}`) : !given && !HOST.test(host)) return ""; // an address has no subdomains
  const isWhole = star ? star === "*." : given;
  if (!isWhole || href.replace(/\/$/, "") !== `${protocol}//${host}`) return `${protocol}//${star && "*."}${host}`;
  const hasPort = !star || /:\d+\/?$/.test(rest);
  return (url) =>
    url.protocol === protocol &&
    (star ? url.hostname.endsWith(`.${hostname}`) : url.hostname === hostname) &&
    (!hasPort || url.port === port);
}

/** The error of the setting `field`, which must be an array of targets; `undefined` if it is valid. */
export function targetsError(field: string, targets: unknown): OpikError | undefined {
  if (!Array.isArray(targets)) return invalid(field, "an array of targets", targets);
  for (const target of targets) {
    const to: unknown = (field === "propagateTo" ? readOption(target, "to") : undefined) ?? target;
    const found = read(to);
    if (typeof found === "function") continue;
    return invalid(
      field,
      `an origin, "*.suffix" or a function (write ${found || "https://a.example or () => true"})`,
      to,
    );
  }
  return undefined;
}

/**
 * Checks targets whose errors must not fail the caller: reports the first error once. Returns the targets, or `[]` if they
 * are not an array.
 */
export function usableTargets<T>(field: string, targets: readonly T[], reporter: Reporter = ofNobody()): readonly T[] {
  const wrong = targetsError(field, targets);
  if (wrong) reporter.tellOnce(wrong, wrong.message);
  return Array.isArray(targets) ? targets : [];
}

/**
 * A URL, resolved as the platform's `fetch` does: the base of a page may differ from its own URL. `undefined` if `text` is
 * not a URL.
 */
export function resolveUrl(text: string): URL | undefined {
  const { document, location } = globalThis as { document?: { baseURI?: unknown }; location?: { href: string } };
  const found = document?.baseURI;
  // A DOM element named `baseURI` may shadow it.
  const base = typeof found === "string" ? found : location?.href;
  return URL.canParse(text, base) ? new URL(text, base) : undefined;
}

/** `true` if `url` is valid and belongs to an origin that `targets` name. */
export function isTarget(url: string, targets: readonly TargetMatch[]): boolean {
  const parsed = resolveUrl(url);
  return parsed !== undefined && targets.some((to) => matchesTarget(parsed, to));
}

/** `true` if `origin`, as sent by a browser, is one of `origins`. An opaque origin (`null`) never is. */
export function isOrigin(origin: string | null, origins: readonly TargetMatch[]): origin is string {
  return origin !== null && URL.canParse(origin) && origins.some((to) => matchesTarget(new URL(origin), to));
}

/** `true` if `url` belongs to an origin that `to` names. App schemes have no origin to compare. */
export function matchesTarget(url: URL, to: TargetMatch): boolean {
  try {
    return (read(to) as Matches)(url) === true;
  } catch {
    return false; // a function that throws, or an invalid text
  }
}
