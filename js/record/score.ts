// Feedback scores of traces, spans and threads, by users or checks. They bypass the core, because they are few, small, and complete
// from the start. Next in the flow: delivery.ts.

import type { Dropped } from "../deliver/report.js";
import {
  firstOfOneUpload,
  MAX_UPLOAD_ROWS,
  type PackedRow,
  scoreKey,
  type Upload,
  uploadOf,
} from "../deliver/upload.js";
import { AWAIT_IT, ownOf, type Reporter } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { getCore } from "../platform/core.js";
import { idTime } from "../platform/ids.js";
import type { Settings } from "../settings.js";
import { REDACTED } from "./json.js";
import type { Score, ScoreKind, TargetedScore } from "./model.js";
import { masked } from "./open-row.js";

/** Largest absolute value (`FeedbackScoreBatchItem.value`). */
export const MAX_SCORE = 1e9;
/** Longest reason, in characters. */
export const MAX_REASON_CHARS = 10_000;
const FIELDS: Names<TargetedScore> = {
  name: 0,
  value: 0,
  reason: 0,
  categoryName: 0,
  traceId: 0,
  spanId: 0,
  threadId: 0,
};
/** Room for the bytes around the rows of an upload. */
const ENVELOPE_BYTES = 100;
/** Room for the note that a text was cut. */
const MARKER_CHARS = 40;

/** Validation error of a score, or `undefined`. */
export function scoreError({ name, value, reason, categoryName }: Partial<Score>): string | undefined {
  if (!isFilled(name)) return "name: expected a string that is not blank";
  if (typeof value !== "number" || !(Math.abs(value) <= MAX_SCORE)) return "value: expected a number from -1e9 to 1e9";
  for (const [field, text] of Object.entries({ reason, categoryName })) {
    if (text !== undefined && text !== null && typeof text !== "string") return `${field}: expected a string`;
  }
  return undefined;
}

/** Scores of one invocation or one client that wait to be sent. */
export class ScoreBuffer {
  readonly #settings: Settings;
  readonly #reporter: Reporter;
  /** By kind, target and name, in the order in which they were given. */
  readonly #waiting = new Map<string, PackedRow>();
  /** Number of scores taken so far. */
  #taken = 0;
  #closed = false;
  #dropped = 0;

  constructor(settings: Settings, reporter: Reporter) {
    this.#settings = settings;
    this.#reporter = reporter;
  }

  /**
   * Keeps a score, replacing a waiting score of the same target and name. Returns its size in bytes, or 0 if it is not
   * kept. Never throws.
   */
  add(kind: ScoreKind, id: unknown, score: Score): number {
    if (this.#closed) {
      this.#reporter.once("invocation_ended", `a score was given after its invocation: it is not sent; ${AWAIT_IT}`);
      return 0;
    }
    try {
      getCore(); // without a core nothing can be delivered
    } catch (error) {
      this.#reporter.failure(error);
      return 0;
    }
    try {
      const { name, value, reason, categoryName } = score && ownOf(score);
      tellUnknown(this.#reporter, score, "field of a score", FIELDS, "field_dropped");
      return this.#keep(kind, id as string, { name, value, reason, categoryName }, idError(kind, id));
    } catch (error) {
      this.#refused(`it cannot be read: ${String(error)}`); // a getter that throws, null
      return 0;
    }
  }

  #keep(kind: ScoreKind, id: string, score: Score, wrongId: string | undefined): number {
    const wrong = wrongId ?? scoreError(score);
    if (wrong) {
      this.#refused(wrong);
      return 0;
    }
    // `FeedbackScoreBatchItem` of the API, or `FeedbackScoreBatchItemThread`, whose thread is masked as in its traces' rows.
    const row = {
      ...(kind === "thread_scores" ? { thread_id: this.#text("threadId", id) ?? REDACTED } : { id }),
      name: this.#text("name", score.name) ?? REDACTED,
      value: score.value,
      reason: this.#text("reason", score.reason),
      category_name: this.#text("categoryName", score.categoryName),
      source: "sdk",
      project_name: this.#settings.projectName,
    };
    const json = new TextEncoder().encode(JSON.stringify(row));
    const key = `${kind} ${scoreKey({ id, name: score.name })}`;
    this.#waiting.delete(key); // a new score goes to the end
    this.#waiting.set(key, { kind, json });
    if (this.#waiting.size > MAX_UPLOAD_ROWS) {
      const [oldest] = this.#waiting.keys();
      this.#waiting.delete(oldest as string);
      this.#dropped += 1;
    }
    return json.byteLength;
  }

  #refused(wrong: string): void {
    this.#reporter.once("invalid_score", `a score was refused: ${wrong}`, undefined, wrong);
  }

  /** Takes out the next upload; `undefined` if no score waits. */
  take(): Upload | undefined {
    const rows = firstOfOneUpload([...this.#waiting.values()], this.#settings.limits.batchBytes - ENVELOPE_BYTES);
    const [first] = rows;
    if (!first) return undefined;
    for (const [key, row] of this.#waiting) if (rows.includes(row)) this.#waiting.delete(key);
    this.#taken += rows.length;
    return uploadOf(
      first.kind,
      rows.map(({ json }) => json),
    );
  }

  /** Marks the scores that wait now. The returned function counts how many of them are still waiting. */
  mark(): () => number {
    const { size } = this.#waiting;
    const taken = this.#taken;
    return () => Math.max(0, size - (this.#taken - taken));
  }

  /** Scores lost since the last call. */
  takeDropped(): Dropped {
    const dropped: Dropped = this.#dropped > 0 ? { buffer_full: this.#dropped } : {};
    this.#dropped = 0;
    return dropped;
  }

  /** Rejects scores from here on. */
  close(): void {
    this.#closed = true;
  }

  #text(field: string, text: string | undefined): string | undefined {
    const { redact } = this.#settings;
    let shown: unknown = text;
    try {
      if (redact && typeof text === "string") shown = redact(text, field);
    } catch (error) {
      shown = masked(field, error, this.#reporter);
    }
    return typeof shown === "string" ? cut(shown) : undefined;
  }
}

function idError(kind: ScoreKind, id: unknown): string | undefined {
  if (kind === "thread_scores") return isFilled(id) ? undefined : "threadId: expected a string that is not blank";
  return typeof id === "string" && idTime(id) !== undefined ? undefined : "id: expected a UUIDv7";
}

function isFilled(text: unknown): boolean {
  return typeof text === "string" && text.trim() !== "";
}

function cut(text: string): string {
  if (text.length <= MAX_REASON_CHARS) return text;
  const start = text.slice(0, MAX_REASON_CHARS - MARKER_CHARS).replace(/[\ud800-\udbff]$/, "");
  return `${start}… [opik_truncated: ${new TextEncoder().encode(text).byteLength} bytes]`;
}
