// What a span or a trace is until its row is written: its fields, and whether they have been written, early or for good. What a
// row looks like is row.ts, and when it ends is for span.ts and trace.ts to say.

import type { Reporter } from "../errors.js";
import type { Row } from "../platform/model.js";
import { isPlain, unserializable } from "./json.js";
import type { OpenTrace, RowFields } from "./model.js";
import { type AnyFields, rowText } from "./row.js";

/** The fields of a row, all of them: engines copy and read objects of one shape several times as fast. */
class Fields implements AnyFields {
  name: RowFields["name"] = undefined;
  input: unknown = undefined;
  output: unknown = undefined;
  metadata: RowFields["metadata"] = undefined;
  tags: RowFields["tags"] = undefined;
  error: unknown = undefined;
  type: AnyFields["type"] = undefined;
  model: AnyFields["model"] = undefined;
  provider: AnyFields["provider"] = undefined;
  usage: AnyFields["usage"] = undefined;
  totalEstimatedCost: AnyFields["totalEstimatedCost"] = undefined;
  ttft: AnyFields["ttft"] = undefined;
  threadId: AnyFields["threadId"] = undefined;
}

/** Of what has been written: what is current may be held long after, and what was recorded need not be. */
const NO_FIELDS: Fields = Object.freeze(new Fields());
const NAMES = Object.keys(NO_FIELDS);
/** Whatever somebody has added to it was said of no row. */
const PROTOTYPE = Object.prototype as unknown as Record<string, unknown>;

/** The row of a span or a trace that is open. */
export class OpenRow {
  readonly #kind: number;
  readonly #id: string;
  readonly #parentId: string;
  readonly #trace: OpenTrace;
  readonly #startMs: number;
  #fields = new Fields();
  /** When it was written early. */
  #earlyMs = 0;

  /** `kind` is `SPAN_ROW` or `TRACE_ROW`; `parentId` is "" for none. */
  constructor(kind: number, id: string, parentId: string, trace: OpenTrace, startMs: number, given: unknown) {
    this.#kind = kind;
    this.#id = id;
    this.#parentId = parentId;
    this.#trace = trace;
    this.#startMs = startMs;
    this.merge(given);
  }

  /** Merges in what the host has set, or with `givesWay` what stands only where it has set nothing. */
  merge(given: unknown, givesWay = false): void {
    mergeInto(this.#fields, given, this.#trace.scope.reporter, givesWay);
  }

  /** What the row of a trace takes over from its root span (Python's `@track`). */
  get mirrored(): RowFields {
    const { name, input, output, metadata, tags, error } = this.#fields;
    return { name, input, output, metadata, tags, error };
  }

  /** Writes it for good, with `root` where it has no fields of its own. */
  write(endMs: number, unfinished: boolean, root?: RowFields): void {
    this.#trace.append(this.#row(endMs, Math.max(endMs, this.#earlyMs + 1), unfinished, root));
    this.#fields = NO_FIELDS;
  }

  /** Writes it early: once, which is enough to be seen. `false` where that has been done. */
  writeEarly(root?: RowFields): boolean {
    if (this.#earlyMs > 0) return false;
    this.#earlyMs = this.#trace.now();
    this.#trace.scope.appendCheckpoint(this.#row(-1, this.#earlyMs, true, root));
    return true;
  }

  #row(endMs: number, updatedMs: number, unfinished: boolean, root: RowFields | undefined): Row {
    const { id: traceId, scope, room } = this.#trace;
    let fields = this.#fields;
    if (root) {
      fields = new Fields();
      mergeInto(fields, root, scope.reporter);
      mergeInto(fields, this.#fields, scope.reporter);
    }
    const { text, outputAt } = rowText(this.#id, traceId, this.#parentId, fields, scope, unfinished);
    return { kind: this.#kind, text, outputAt, startMs: this.#startMs, endMs, updatedMs, unfinished, room };
  }
}

/**
 * Merges as Opik's Python SDK does: objects merge, tags add up, the rest is replaced; `undefined` leaves a field as it is, and so
 * does a value that can not be read (a getter that throws).
 */
function mergeInto(into: Fields, given: unknown, reporter: Reporter, givesWay = false): void {
  const fields = into as unknown as Record<string, unknown>;
  const update = (given ?? {}) as Record<string, unknown>; // JavaScript may say null
  for (const key of namesOf(update, reporter)) {
    try {
      if (!Object.hasOwn(fields, key)) continue;
      const value = update[key];
      if (value === undefined || value === PROTOTYPE[key] || (value === null && key === "error")) continue;
      const before = fields[key];
      fields[key] =
        before === undefined ? value : givesWay ? mergeValues(key, value, before) : mergeValues(key, before, value);
    } catch (error) {
      const note = unserializable(key, error, reporter);
      // The API would refuse it in most other fields.
      if (key === "input" || key === "output") fields[key] ??= note;
    }
  }
}

/** The members to look at: of an object of a class all that it may have inherited. */
function namesOf(given: object, reporter: Reporter): readonly string[] {
  try {
    return isPlain(given) ? Object.keys(given) : NAMES;
  } catch (error) {
    unserializable("fields", error, reporter); // a revoked proxy
    return [];
  }
}

function mergeValues(key: string, before: unknown, value: unknown): unknown {
  if (key === "tags" && Array.isArray(before) && Array.isArray(value)) return [...before, ...value];
  if (!isPlain(before) || !isPlain(value)) return value;
  try {
    return { ...before, ...value };
  } catch {
    // A getter that throws is left to be told of when all is written.
    const members = [before, value].map(Object.getOwnPropertyDescriptors);
    return Object.defineProperties({}, Object.assign({}, ...members));
  }
}
