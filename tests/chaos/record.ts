// What a chaos test does inside the runtime under test: records rows, flushes, and says what it was told of them.

import { type Drop, Opik, type Transport } from "opik-edge";

/** What to record, and how long the flush may take. */
export interface Recording {
  readonly url: string;
  /** Spans under one trace; with the trace's own row there is one row more. */
  readonly spans: number;
  /** Bytes of text in each span's input. */
  readonly bytes?: number;
  /** Every so many spans one that the backend refuses. */
  readonly badEvery?: number;
  readonly timeoutMs?: number;
  /** Whether bodies are compressed in any runtime. */
  readonly compress?: boolean;
  /** How often to record and flush. */
  readonly times?: number;
}

/** The name of a span that the backend refuses. */
export const REFUSED = "refused by the backend";

/** What became of it, as far as the runtime was told. */
export interface Recorded {
  readonly ids: string[];
  readonly bad: string[];
  readonly sent: number;
  /** After the last flush. */
  readonly kept: number;
  readonly retried: number;
  readonly dropped: Record<string, number>;
  /** What `onDrop` was told, in sum. */
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
