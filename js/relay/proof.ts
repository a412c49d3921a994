// Checks that a page made the ids in its rows. With a token a page may write, but only into its own traces and spans and into
// the trace that the token names. Knowing the id of another page's trace is not enough to write into it.

import { fromBase64Url } from "../platform/base64url.js";
import { isMadeWith, SECRET_BYTES } from "../platform/proof.js";
import { Refusal } from "./refusal.js";
import type { PageBatch } from "./rows.js";
import type { TokenClaims } from "./token.js";

/**
 * Throws a `Refusal` if the id of a row, its trace or its score's target was neither made with the secret in the envelope nor
 * named by the token. Parents are not checked, because they only affect the display within that trace. A scored thread has been
 * compared with the token already (rows.ts). Expects valid UUIDv7s.
 */
export function checkProof({ kind, rows, secret }: PageBatch, { traceId }: TokenClaims): void {
  if (kind === "thread_scores") return;
  const bytes = secretOf(secret);
  for (const [index, row] of rows.entries()) {
    for (const name of kind === "spans" ? ["id", "trace_id"] : ["id"]) {
      const id = String(row[name]).toLowerCase();
      const isTrace = name === "trace_id" || kind.startsWith("trace");
      if ((isTrace && id === traceId) || (bytes && isMadeWith(bytes, id))) continue;
      throw new Refusal(
        "foreign_id",
        `${kind}[${index}].${name}: not made by this page, nor the trace that its token names`,
      );
    }
  }
}

function secretOf(text: unknown): Uint8Array | undefined {
  try {
    const bytes = fromBase64Url(text as string);
    return bytes.length === SECRET_BYTES ? bytes : undefined;
  } catch {
    return undefined; // no secret was sent
  }
}
