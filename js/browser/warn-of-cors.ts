// During development, names the headers that another origin does not allow after a traced call to it has failed. The
// browser tells the page only that the call failed.

import type { Reporter } from "../errors.js";
import { platformFetch } from "../platform/host-fetch.js";

/** Origins that were checked. */
const seen = new Set<string>();

/** Checks a call to `url` with the trace headers `names` that got no answer; once for each origin. */
export function warnOfCors(url: URL, names: readonly string[], reporter: Reporter): void {
  if (typeof location === "undefined") return; // a runtime that only claims to be a browser
  if (names.length === 0 || url.origin === location.origin || seen.has(url.origin) || !isDevelopment()) return;
  seen.add(url.origin);
  void explain(new URL(url.pathname, url.origin), names).then(
    (message) => message && reporter.once("cors_header", message, undefined, url.origin),
  );
}

/** `undefined` if the call did not fail because of the trace headers. */
async function explain(url: URL, names: readonly string[]): Promise<string | undefined> {
  if (await isAnswered(url, names)) return undefined;
  const allowed = await Promise.all(names.map((name) => isAnswered(url, [name])));
  const missing = names.filter((_, index) => !allowed[index]);
  const remedy = "see handlePreflight and corsHeaders";
  if (await isAnswered(url, [])) {
    return `${url.origin} does not allow the request headers ${missing.join(", ")}, so the traced call failed: ${remedy}`;
  }
  return `${url.origin} is down, or allows no calls from ${location.origin}; traced ones need ${missing.join(", ")}: ${remedy}`;
}

/** `true` if a harmless request with these headers gets an answer. A page cannot send a preflight alone. */
async function isAnswered(url: URL, names: readonly string[]): Promise<boolean> {
  // Probe values are not ids, so they do not join any trace.
  const headers = names.map((name): [string, string] => [name, "probe"]);
  try {
    await platformFetch(url, { method: "HEAD", headers, credentials: "omit", cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

/** `true` if the page comes from the developer's own machine. */
function isDevelopment(): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\]|.*\.(localhost|local|test))$/.test(location.hostname);
}
