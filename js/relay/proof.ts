// Whether the ids in a page's rows are its own. Whoever has a token may write, but only into what its page has begun, and into the
// trace that the token names: so nobody writes into the trace of another, even one who knows its id.

import { fromBase64Url } from "../platform/base64url.js";
import { isMadeWith, SECRET_BYTES } from "../platform/proof.js";
import { Refusal } from "./refusal.js";
import type { PageBatch } from "./rows.js";
import type { TokenClaims } from "./token.js";

/**
 * Throws a `Refusal` where a row's id, its trace's, or what it scores was not made with the secret in the envelope, nor is the trace
 * that the token names. Any parent may be named: it is shown in that trace alone. The rows have been checked to have such ids.
 */
export function checkProof({ kind, rows, secret }: PageBatch, { traceId }: TokenClaims): void {
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
    return undefined; // there is none
  }
}
