// Checks everything outside this package that tracing depends on.

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

/** The objects of the check. */
export interface DoctorOptions {
  /** The settings of your client (default: from the OPIK_* variables). */
  readonly config?: OpikConfig | undefined;
  /** A service to call with trace headers. It answers with `echoHeaders`, or with its request headers as JSON. */
  readonly url?: string | undefined;
  /** The origin of the pages that call it, if any. */
  readonly origin?: string | undefined;
}

const OPTIONS: Names<DoctorOptions> = { config: 0, url: 0, origin: 0 };

/**
 * Finds problems and their remedies. It sends only test requests, and waits at most 10 s for each answer. Never rejects.
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
    // Without the core there are no ids to send; examineRuntime has reported that.
  }
  return findings;
}

function namesIn(config: OpikConfig): string[] {
  try {
    return unknownSettings(config);
  } catch {
    return []; // examineOpik reports it
  }
}
