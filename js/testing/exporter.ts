// Keeps in memory what would have been sent to Opik.

import type { Transport, TransportRequest } from "../settings.js";

/** A row as Opik's API takes it (`Trace_Write`, `Span_Write`). */
export interface ExportedRow {
  /** Its UUIDv7. */
  readonly id: string;
  /** Of a span: its trace. */
  readonly trace_id?: string;
  /** Of a span: what it is under; missing at the root of a trace. */
  readonly parent_span_id?: string;
  /** What is shown in the list. */
  readonly name?: string;
  readonly [field: string]: unknown;
}

/** A score as Opik's API takes it (`FeedbackScoreBatchItem`). */
export interface ScoreRow {
  /** The id of the trace or the span. */
  readonly id: string;
  /** What is scored. */
  readonly name: string;
  /** -1e9 to 1e9. */
  readonly value: number;
  readonly [field: string]: unknown;
}

/** A score, and what is scored. */
export interface ExportedScore extends ScoreRow {
  /** What has its `id`. */
  readonly entity: "trace" | "span";
}

/** A request as it was made. */
export interface ExportedRequest {
  /** `PATCH` completes the row that its URL names. */
  readonly method: string;
  /** Where Opik would have got it. */
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  /** One of these; of a `PATCH` the fields of its row. */
  readonly body: {
    /** Of `/traces/batch`. */
    readonly traces?: readonly ExportedRow[];
    /** Of `/spans/batch`. */
    readonly spans?: readonly ExportedRow[];
    /** Of `/traces/feedback-scores` and `/spans/feedback-scores`. */
    readonly scores?: readonly ScoreRow[];
  };
}

/**
 * A transport that keeps rows: `new Opik({ transport: new InMemoryExporter() })`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Opik } from "opik-edge";
 * import { InMemoryExporter } from "opik-edge/testing";
 *
 * const exporter = new InMemoryExporter();
 * const opik = new Opik({ transport: exporter, background: false });
 * opik.span({ name: "job", output: { rows: 12 } }, () => {});
 * await opik.flush();
 *
 * assert.deepEqual(exporter.spans[0]?.output, { rows: 12 });
 * ```
 */
export class InMemoryExporter implements Transport {
  /** Every request, oldest first. */
  readonly requests: ExportedRequest[] = [];
  /** Plays a backend that refuses: what it gives is answered, and nothing is kept unless its status is 2xx. */
  answer: ((request: ExportedRequest) => Response | undefined) | undefined;
  readonly #scores = new Map<string, ExportedScore>();
  readonly #rows = { traces: new Map<string, ExportedRow>(), spans: new Map<string, ExportedRow>() };

  /** The traces; of those written more than once the last. */
  get traces(): ExportedRow[] {
    return [...this.#rows.traces.values()];
  }

  /** The spans; of those written more than once the last. */
  get spans(): ExportedRow[] {
    return [...this.#rows.spans.values()];
  }

  /** The scores, of traces and spans; of those with one name on one of them the last. */
  get scores(): ExportedScore[] {
    return [...this.#scores.values()];
  }

  /** Forgets everything. */
  clear(): void {
    this.requests.length = 0;
    this.#rows.traces.clear();
    this.#rows.spans.clear();
    this.#scores.clear();
  }

  async fetch(url: string, init: TransportRequest): Promise<Response> {
    const body = JSON.parse(new TextDecoder().decode(init.body)) as ExportedRequest["body"];
    const request = { method: init.method, url, headers: Object.fromEntries(init.headers), body };
    this.requests.push(request);
    const answer = this.answer?.(request) ?? new Response(null, { status: 204 });
    if (!answer.ok) return answer;
    for (const kind of ["traces", "spans"] as const) {
      const rows = this.#rows[kind];
      for (const row of body[kind] ?? []) rows.set(row.id, row);
      const id = init.method === "PATCH" && url.split(`/${kind}/`)[1];
      if (id) rows.set(id, { ...rows.get(id), ...body, id } as ExportedRow);
    }
    const entity = url.includes("/traces/") ? "trace" : "span";
    for (const score of body.scores ?? [])
      this.#scores.set(`${entity} ${score.id} ${score.name}`, { ...score, entity });
    return answer;
  }
}
