// Origins as settings name them, for `propagateTo` and `origins` alike: what a text stands for, and how to write one that
// stands for nothing.

import { invalid, type OpikError, type Reporter, readOption } from "../errors.js";
import { ofNobody } from "../names.js";
import type { TargetMatch } from "../settings.js";

type Matches = (url: URL) => unknown;

/** Scheme, star and host of an origin or a suffix, or of what is like one. */
const PARTS = /^([a-z][a-z\d+.-]*:\/\/)?(\*?\.?)([^*,]*)$/i;
/** A host, and not a mere word: that may be anything, even a secret. */
const HOST = /[.:]|^localhost$/;
/** A host whose last label has a letter, which an address has not. */
const NAME = /\.[^.\]]*[a-z][^.\]]*$/i;

/** Says of a URL whether it is of an origin that `to` names; the text that `to` was probably to be, or "", where it names none. */
function read(to: unknown): Matches | string {
  if (typeof to === "function") return to as Matches;
  const [, given, star, rest = ""] = (typeof to === "string" && PARTS.exec(to)) || [];
  const text = (given ?? (star || NAME.test(rest) ? "https://" : "http://")) + rest;
  if (!URL.canParse(text)) return "";
  const { href, protocol, host, hostname, port } = new URL(text);
  if (star ? !NAME.test(`.${hostname}`) : !given && !HOST.test(host)) return ""; // below an address there is no host
  const isWhole = star ? star === "*." : given;
  if (!isWhole || href.replace(/\/$/, "") !== `${protocol}//${host}`) return `${protocol}//${star && "*."}${host}`;
  const hasPort = !star || /:\d+\/?$/.test(rest);
  return (url) =>
    url.protocol === protocol &&
    (star ? url.hostname.endsWith(`.${hostname}`) : url.hostname === hostname) &&
    (!hasPort || url.port === port);
}

/** What is wrong with the setting `field`, which is to be an array of targets; `undefined` where nothing is. */
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

/** The same for targets that nothing is to be refused for: tells it once. Gives those that there are. */
export function usableTargets<T>(field: string, targets: readonly T[], reporter: Reporter = ofNobody()): readonly T[] {
  const wrong = targetsError(field, targets);
  if (wrong) reporter.tellOnce(wrong, wrong.message);
  return Array.isArray(targets) ? targets : [];
}

/** A URL, as the platform's `fetch` resolves it: a page may have another base than its own URL. `undefined` when `text` is none. */
export function resolveUrl(text: string): URL | undefined {
  const { document, location } = globalThis as { document?: { baseURI?: unknown }; location?: { href: string } };
  const found = document?.baseURI;
  // An element of that name stands in its place.
  const base = typeof found === "string" ? found : location?.href;
  return URL.canParse(text, base) ? new URL(text, base) : undefined;
}

/** Whether `url`, where it is one, is of an origin that one of `targets` names. */
export function isTarget(url: string, targets: readonly TargetMatch[]): boolean {
  const parsed = resolveUrl(url);
  return parsed !== undefined && targets.some((to) => matchesTarget(parsed, to));
}

/** Whether `origin`, as a browser names a page's, is one of `origins`: an opaque one (`null`) is none. */
export function isOrigin(origin: string | null, origins: readonly TargetMatch[]): origin is string {
  return origin !== null && URL.canParse(origin) && origins.some((to) => matchesTarget(new URL(origin), to));
}

/** Whether `url` is of an origin that `to` names. Schemes of apps have no origin to be compared. */
export function matchesTarget(url: URL, to: TargetMatch): boolean {
  try {
    return (read(to) as Matches)(url) === true;
  } catch {
    return false; // a function that throws, or a text that names none
  }
}
