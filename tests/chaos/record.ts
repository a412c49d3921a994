// Runs a chaos test inside the runtime under test: records rows, flushes, and returns the reports about them.

import { type Drop, Opik, type Transport } from "opik-edge";

/** The rows to record, and the timeout of the flush. */
export interface Recording {
  readonly url: string;
  /** Spans under one trace; the trace itself adds one row. */
  readonly spans: number;
  /** Bytes of text in each span's input. */
  readonly bytes?: number;
  /** Every `badEvery`th span is a span that the backend refuses. */
  readonly badEvery?: number;
  readonly timeoutMs?: number;
  /** Compresses bodies in every runtime. */
  readonly compress?: boolean;
  /** Number of times to record and flush. */
  readonly times?: number;
}

/** The name of a span that the backend refuses. */
export const REFUSED = "refused by the backend";

/** The recorded rows, and the reports about them. */
export interface Recorded {
  readonly ids: string[];
  readonly bad: string[];
  readonly sent: number;
  /** After the last flush. */
  readonly kept: number;
  readonly retried: number;
  readonly dropped: Record<string, number>;
  /** Rows reported to `onDrop`, by reason. */
  readonly told: Record<string, number>;
  readonly requests: number;
  readonly errors: string[];
}

/** Records and flushes. */
export async function record(recording: Recording): Promise<Recorded> {
  const { url, spans, bytes = 0, badEvery, timeoutMs, compress, times = 1 } = recording;
  const told: Record<string, number> = {};
  const onDrop = ({ reason, rows }: Drop): void => {
    told[reason] = (told[reason] ?? 0) + rows;
  };
  const transport: Transport | undefined = compress ? { compress, fetch: (...args) => fetch(...args) } : undefined;
  const opik = new Opik({ url, transport, background: false, onError: () => {}, onDrop });
  const result = {
    ids: [] as string[],
    bad: [] as string[],
    sent: 0,
    kept: 0,
    retried: 0,
    requests: 0,
    errors: [] as string[],
  };
  const dropped: Record<string, number> = {};
  const text = "some text ".repeat(bytes / 10);
  for (let time = 0; time < times; time += 1) {
    const trace = opik.trace({ name: "chaos" });
    result.ids.push(trace.id);
    for (let n = 1; n <= spans; n += 1) {
      const isBad = badEvery !== undefined && n % badEvery === 0;
      const span = trace.span({ name: isBad ? REFUSED : `${n}`, input: { text } });
      span.end();
      result.ids.push(span.id);
      if (isBad) result.bad.push(span.id);
    }
    trace.end();
    const report = await opik.flush({ timeoutMs });
    result.sent += report.sent;
    result.kept = report.kept;
    result.retried += report.retried;
    result.requests += report.requests;
    result.errors.push(...report.errors.map(({ message }) => message));
    for (const [reason, rows] of Object.entries(report.dropped)) dropped[reason] = (dropped[reason] ?? 0) + rows;
  }
  return { ...result, dropped, told };
}
