// Keeps rows in memory instead of sending them.

import type { Transport, TransportRequest } from "../settings.js";

/** A row of Opik's API (`Trace_Write`, `Span_Write`). */
export interface ExportedRow {
  /** The id, a UUIDv7. */
  readonly id: string;
  /** Of a span: the id of its trace. */
  readonly trace_id?: string;
  /** Of a span: the id of its parent; missing at the root of a trace. */
  readonly parent_span_id?: string;
  /** The name shown in the list. */
  readonly name?: string;
  readonly [field: string]: unknown;
}

/** A score of Opik's API (`FeedbackScoreBatchItem`, `FeedbackScoreBatchItemThread`). */
export interface ScoreRow {
  /** The id of the trace or the span. */
  readonly id?: string;
  /** The id of the thread. */
  readonly thread_id?: string;
  /** The name of the score. */
  readonly name: string;
  /** A number from -1e9 to 1e9. */
  readonly value: number;
  readonly [field: string]: unknown;
}

/** A score and the kind of its target. */
export interface ExportedScore extends ScoreRow {
  /** The kind of its target. */
  readonly entity: "trace" | "span" | "thread";
}

/** A recorded request. */
export interface ExportedRequest {
  /** `PATCH` completes the row that its URL names. */
  readonly method: string;
  /** The URL at Opik. */
  readonly url: string;
  /** The headers, with names in lower case. */
  readonly headers: Record<string, string>;
  /** One of these; for a `PATCH` the fields of its row. */
  readonly body: {
    /** To `/traces/batch`. */
    readonly traces?: readonly ExportedRow[];
    /** To `/spans/batch`. */
    readonly spans?: readonly ExportedRow[];
    /** To `/traces/feedback-scores`, `/spans/feedback-scores` or `/traces/threads/feedback-scores`. */
    readonly scores?: readonly ScoreRow[];
  };
}

/**
 * A transport that keeps rows in memory: `new Opik({ transport: new InMemoryExporter() })`.
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
  /** Simulates a backend's answers. Rows are kept only if the status is 2xx. */
  answer: ((request: ExportedRequest) => Response | undefined) | undefined;
  readonly #scores = new Map<string, ExportedScore>();
  readonly #rows = { traces: new Map<string, ExportedRow>(), spans: new Map<string, ExportedRow>() };

  /** The traces, each in its last version. */
  get traces(): ExportedRow[] {
    return [...this.#rows.traces.values()];
  }

  /** The spans, each in its last version. */
  get spans(): ExportedRow[] {
    return [...this.#rows.spans.values()];
  }

  /** The scores of traces, spans and threads, each in its last version. */
  get scores(): ExportedScore[] {
    return [...this.#scores.values()];
  }

  /** Removes all rows, scores and requests. */
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
    const entity = url.includes("/threads/") ? "thread" : url.includes("/traces/") ? "trace" : "span";
    for (const score of body.scores ?? []) {
      this.#scores.set(`${entity} ${score.thread_id ?? score.id} ${score.name}`, { ...score, entity });
    }
    return answer;
  }
}
