// Looks at all that tracing depends on outside this package.

import { ownOf } from "../errors.js";
import { type Names, unknownNames } from "../names.js";
import { isBrowser } from "../platform/env.js";
import { withoutQuery } from "../record/json.js";
import { resolveUrl } from "../record/targets.js";
import { unknownSettings } from "../resolve-settings.js";
import type { OpikConfig } from "../settings.js";
import { type Finding, problem } from "./finding.js";
import { examineCors, examineHeaders } from "./header-check.js";
import { examineOpik } from "./opik-api.js";
import { examineRuntime } from "./runtime.js";

/** What to look at. */
export interface DoctorOptions {
  /** The settings of your client (default those of the OPIK_* variables). */
  readonly config?: OpikConfig | undefined;
  /** A service that is called with trace headers: one that answers with `echoHeaders`, or with its request headers as JSON. */
  readonly url?: string | undefined;
  /** The origin of pages that call it, if there are any. */
  readonly origin?: string | undefined;
}

const OPTIONS: Names<DoctorOptions> = { config: 0, url: 0, origin: 0 };

/**
 * What is wrong, and what to do about it. Sends nothing but questions, and waits for 10 s for each. Never rejects.
 *
 * @example
 * ```ts
 * import { opikDoctor } from "opik-edge/doctor";
 *
 * export const findings = await opikDoctor();
 * for (const { check, level, found, fix } of findings) {
 *   if (level === "problem") console.error(`${check}: ${found}. ${fix ?? ""}`);
 * }
 * ```
 */
export async function opikDoctor(options?: DoctorOptions): Promise<Finding[]> {
  const { config = {}, url, origin } = ownOf(options);
  const findings = await examineRuntime();
  const unknown = [...unknownNames(options, "option of opikDoctor", OPTIONS), ...namesIn(config)];
  findings.push(...unknown.map((sentence) => problem("names", sentence, "correct the name, or leave it out")));
  findings.push(await examineOpik(config));
  if (url === undefined) return findings;
  const parsed = resolveUrl(url);
  if (!parsed)
    return [
      ...findings,
      problem(
        "headers",
        `${url.includes("@") ? "what was given" : withoutQuery(url)} is no URL`,
        "name it whole: https://api.example.com/echo",
      ),
    ];
  try {
    findings.push(await examineHeaders(parsed));
    if (origin !== undefined && !isBrowser()) findings.push(await examineCors(parsed, origin));
  } catch {
    // Without the core there are no ids to send, which is said already.
  }
  return findings;
}

function namesIn(config: OpikConfig): string[] {
  try {
    return unknownSettings(config);
  } catch {
    return []; // which the look at the settings tells
  }
}
