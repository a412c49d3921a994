// Checks that Opik, or the relay before it, would accept rows. It sends an empty batch, so nothing is written.

import { foreignType } from "../deliver/request.js";
import { PATHS } from "../deliver/upload.js";
import { causeOf, hideQueries } from "../errors.js";
import { resolveConfig } from "../resolve-settings.js";
import type { OpikConfig, Settings } from "../settings.js";
import { ask } from "./ask.js";
import { type Finding, note, ok, problem } from "./finding.js";

const CHECK = "Opik";
const URL_FIX = "the URL ends with /api, as in http://localhost:5173/api";
const REDIRECT_FIX = "name where it redirects to";
const RELAY_FIX = "check relayUrl, and that POST gets there";

/** Checks the settings, and the API or relay that they name. */
export async function examineOpik(config: OpikConfig): Promise<Finding> {
  let settings: Settings;
  try {
    settings = resolveConfig(config);
  } catch (error) {
    return problem(CHECK, (error as Error).message, "set it in the configuration, or in its OPIK_* variable");
  }
  if (settings.disabled) return note(CHECK, "tracing is switched off", "unset OPIK_TRACK_DISABLE, and `disabled`");
  const { href } = settings.url;
  try {
    const { response, status } = await answerOf(settings);
    const type = foreignType(response, settings.transport);
    if (type) {
      const found = `${href} is not Opik's API: got ${type} (${status})`;
      return problem(CHECK, found, config.relayUrl === undefined ? URL_FIX : RELAY_FIX);
    }
    const location = response.headers.get("location");
    if (location) return problem(CHECK, `${href} redirects (${status}) to ${hideQueries(location)}`, REDIRECT_FIX);
    return config.relayUrl === undefined ? judge(status, settings) : judgeRelay(status, href);
  } catch (error) {
    const fix = config.relayUrl === undefined ? "check OPIK_URL_OVERRIDE, DNS and firewalls" : RELAY_FIX;
    return problem(CHECK, `${href} cannot be reached: ${settings.withoutKey(causeOf(error))}`, fix);
  }
}

async function answerOf({
  transport,
  baseUrl,
  requestHeaders,
}: Settings): Promise<{ readonly response: Response; readonly status: number }> {
  const { response } = await ask((signal) =>
    transport.fetch(baseUrl + PATHS.spans, {
      method: "POST",
      headers: requestHeaders(false),
      body: new TextEncoder().encode('{"spans":[]}'),
      redirect: "manual",
      signal,
    }),
  );
  return { response, status: response.type === "opaqueredirect" ? 302 : response.status };
}

/** A relay refuses an empty batch before it checks the token. */
function judgeRelay(status: number, href: string): Finding {
  switch (status) {
    case 400:
    case 422:
      return ok(CHECK, `the relay ${href} answers this page`);
    case 403:
      return problem(CHECK, `the relay ${href} refuses this page's origin (403)`, "name it in the relay's `origins`");
    default:
      return problem(CHECK, `${href} answers ${status}, as no relay does`, RELAY_FIX);
  }
}

/** Opik checks the route, the key and the workspace before it refuses the empty batch. */
function judge(status: number, { url: { href }, workspace, projectName }: Settings): Finding {
  const to = `${href}, workspace ${workspace}`;
  switch (status) {
    case 200:
    case 204:
    case 400:
    case 422:
      return ok(CHECK, `${to}${projectName ? `, project ${projectName}` : ""}: key and workspace are accepted`);
    case 401:
      return problem(CHECK, `${to}: the key is refused (401)`, "set OPIK_API_KEY to the raw key, without Bearer");
    case 402:
      return problem(CHECK, `${to}: the plan's quota is used up (402)`, "rows are dropped until it is renewed");
    case 403:
      return problem(
        CHECK,
        `${to}: the workspace or the origin is refused (403)`,
        "set OPIK_WORKSPACE to one of the key's",
      );
    case 404:
    case 405:
      return problem(CHECK, `${href}: there is no such route (${status})`, URL_FIX);
    case 429:
      return note(CHECK, `${to}: the rate limit is reached (429)`, "rows wait for as long as it asks for");
    default:
      if (status >= 300 && status < 400) return problem(CHECK, `${href} redirects (${status})`, REDIRECT_FIX);
      return problem(CHECK, `${to}: answers ${status}`, "look into its log; rows are tried again meanwhile");
  }
}
