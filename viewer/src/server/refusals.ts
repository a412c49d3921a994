// Keeps the latest refused requests, in memory, with their fixes.

import type { RefusalEntry } from "../api.js";
import type { Refusal } from "./refusal.js";

const MAX_KEPT = 200;
const MAX_VALUE_LENGTH = 200;

/** A refused request. */
export interface Refused {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly sender: string;
  /** The value of its body, where it was JSON. */
  readonly body: unknown;
}

/** The requests that were refused last. */
export class Refusals {
  #kept: RefusalEntry[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Newest first. */
  get all(): readonly RefusalEntry[] {
    return this.#kept.toReversed();
  }

  add(refusal: Refusal, { at, method, path, sender, body }: Refused): void {
    this.#count += 1;
    const rows = rowsOf(body);
    const { row, field, value, entry } = refusal.place;
    const one = (entry ?? (row === undefined ? body : rows?.[row])) as Record<string, unknown> | undefined;
    this.#kept.push({
      n: this.#count,
      at,
      method,
      path,
      status: refusal.status,
      message: refusal.message,
      details: refusal.details ?? null,
      sender,
      rows: rows?.length ?? null,
      row: row ?? null,
      id: cut(one?.["id"]),
      name: cut(one?.["name"]),
      field: field ?? null,
      value: value === undefined ? null : (JSON.stringify(value) ?? "").slice(0, MAX_VALUE_LENGTH),
      fix: fixOf(refusal),
    });
    if (this.#kept.length > MAX_KEPT) this.#kept.shift();
  }

  clear(): void {
    this.#kept = [];
    this.#count = 0;
  }
}

function cut(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, MAX_VALUE_LENGTH) : null;
}

function rowsOf(body: unknown): unknown[] | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  return Object.values(body).find(Array.isArray);
}

/** The fix, in a sentence or two; `null` if it is unknown. */
export function fixOf({ status, message, details, place }: Refusal): string | null {
  const { field = "", value } = place;
  if (/version 7 UUID|format "uuid"/.test(message)) {
    const version = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9])/i.exec(String(value))?.[1];
    const found = value === undefined ? "The id is missing" : version ? `It is version ${version}` : "It is not a UUID";
    return `${found}. Opik takes UUIDs of version 7 alone, which begin with their time: SDKs make them, and so does uuid7() of uuid6 or uuid.`;
  }
  if (details?.includes("too_old")) {
    return "The id was made more than a day ago. Create a row when its id is made, or look at the sender's clock.";
  }
  if (details?.includes("too_far_future")) return "The id's time lies ahead: the sender's clock is wrong.";
  if (field.startsWith("usage"))
    return "Usage is a flat map of 32-bit integers: round fractions, and leave out nested objects.";
  if (field.startsWith("error_info"))
    return "error_info needs an exception_type and a traceback, neither of them empty.";
  if (/^(input|output|metadata)/.test(field))
    return "It takes an object, a text or a list of objects. Wrap anything else in an object.";
  if (field === "tags") return "Each tag may occur once.";
  if (/_time$|last_updated_at/.test(field)) {
    return value === undefined
      ? "Every row has a start_time."
      : "It takes RFC 3339 times, such as 2026-01-31T12:00:00.000Z.";
  }
  if (field === "type") return "Opik knows the types general, tool, llm and guardrail.";
  if (field === "source") return "Leave it out, or set it to sdk.";
  if (field === "project_name")
    return "Give the project a name that is not blank, or leave it out for the Default Project.";
  if (/Duplicate/.test(message)) return "One batch has the row twice: send the newer one alone.";
  if (/more than 1000|fewer than 1/.test(message)) return "A batch holds 1 to 1000 rows: send it in parts.";
  if (/does not match/.test(message))
    return "A span stays where it is: an update has the trace and the parent that the span was created with.";
  if (/already exists/.test(message))
    return "Another program has written this trace's row. A service that continues a trace writes only spans.";
  if (status === 503) return "Make room on the disk, or start the viewer without --file: Opik has no part in this.";
  if (status === 404 || status === 405)
    return "OPIK_URL_OVERRIDE is this server's address with /api behind it, and OTEL_EXPORTER_OTLP_ENDPOINT with /api/v1/private/otel.";
  return null;
}
