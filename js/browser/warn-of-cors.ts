// During development: names the headers that another origin does not allow, where a traced call to it has failed. The
// browser tells the page only that it did.

import type { Reporter } from "../errors.js";
import { platformFetch } from "../platform/host-fetch.js";

/** Origins that were looked at. */
const seen = new Set<string>();

/** Looks into a call to `url` that got no answer with the trace headers of these names; once for each origin. */
export function warnOfCors(url: URL, names: readonly string[], reporter: Reporter): void {
  if (typeof location === "undefined") return; // what only calls itself a browser
  if (names.length === 0 || url.origin === location.origin || seen.has(url.origin) || !isDevelopment()) return;
  seen.add(url.origin);
  void explain(new URL(url.pathname, url.origin), names).then(
    (message) => message && reporter.once("cors_header", message, undefined, url.origin),
  );
}

/** `undefined` where the trace headers are not what it failed for. */
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

/** Whether a request that changes nothing gets an answer with headers of these names. A preflight by itself can not be asked for. */
async function isAnswered(url: URL, names: readonly string[]): Promise<boolean> {
  // No ids: where these do arrive they are nobody's trace.
  const headers = names.map((name): [string, string] => [name, "probe"]);
  try {
    await platformFetch(url, { method: "HEAD", headers, credentials: "omit", cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

/** Whether the page comes from the developer's own machine. */
function isDevelopment(): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\]|.*\.(localhost|local|test))$/.test(location.hostname);
}
