// Runs the golden vectors of delivery (tests/vectors/README.md) on the package, with a clock and a transport of the test.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import {
  type FlushReport,
  flush,
  getTrackContext,
  Opik,
  type OpikConfig,
  type Span,
  score,
  type Trace,
  trace,
} from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type FakeClock, useFakeClock } from "opik-edge/testing";
import { environment } from "../support/core.js";
import vectors from "../vectors/delivery.json" with { type: "json" };

type RowKind = "traces" | "spans" | "trace_scores" | "span_scores";

/** An event at the time `at`. The other members say which. */
interface Step {
  readonly at: number;
  readonly record?: RowKind;
  readonly rows?: readonly string[];
  readonly bytes?: number;
  readonly open?: string;
  readonly close?: string;
  readonly flush?: string;
  readonly timeout_ms?: number;
  readonly end?: string;
}

interface Answer {
  /** 0 for a failed request; `null` for a request that is never answered. */
  readonly status: number | null;
  readonly headers?: Record<string, string>;
  readonly after_ms?: number;
}

interface Request {
  readonly at: number;
  readonly request: string;
  readonly rows: readonly string[];
  readonly early?: boolean;
}

interface Report extends Partial<Pick<FlushReport, "sent" | "kept" | "retried" | "checkpoints" | "requests">> {
  readonly at: number;
  readonly dropped?: Record<string, number>;
  /** Number of requests that are out before the flush returns. */
  readonly out?: number;
}

interface Vector {
  readonly name: string;
  readonly of: "client" | "process" | "shared" | "invocation";
  readonly random?: number;
  readonly max_body_bytes?: number;
  readonly buffer_bytes?: number;
  readonly steps: readonly Step[];
  readonly answers?: readonly Answer[];
  /** Answer to all further requests. */
  readonly answer?: Answer;
  readonly until?: number;
  readonly requests?: readonly Request[];
  readonly reports?: Record<string, Report>;
  readonly dropped?: Record<string, number>;
}

const START_MS = 1_800_000_000_000;
const OK: Answer = { status: 204 };
/** Time limit of an invocation's last flush, set by its platform. */
const END_MS = 28_000;

/** Records rows: a client, or an invocation seen from inside. */
interface Recorder {
  trace(name: string, fields: object): Trace;
  readonly parent: Trace | Span;
  score: Opik["score"];
  flush: Opik["flush"];
  end(): void;
}

/** `a0..a2` stands for `a0`, `a1` and `a2`. */
function expand(rows: readonly string[]): string[] {
  return rows.flatMap((row) => {
    const [, prefix, from, to] = /^(.*?)(\d+)\.\.\1(\d+)$/.exec(row) ?? [];
    if (prefix === undefined) return [row];
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, index) => `${prefix}${Number(from) + index}`);
  });
}

/** The outcome of a vector. */
class Run {
  readonly requests: Request[] = [];
  readonly reports: Record<string, Required<Report>> = {};
  readonly dropped: Record<string, number> = {};
  readonly #vector: Vector;
  readonly #clock: FakeClock;
  readonly #open = new Map<string, Span>();
  #isOver = false;

  constructor(vector: Vector, clock: FakeClock) {
    this.#vector = vector;
    this.#clock = clock;
  }

  async play(): Promise<void> {
    const { of, steps, until = 60_000 } = this.#vector;
    const recorder = await (of === "invocation" ? this.#invocation() : this.#client());
    for (const step of steps) {
      if (step.at > this.#now) await this.#clock.advance(step.at - this.#now);
      this.#take(step, recorder);
    }
    await this.#clock.advance(until - this.#now);
    // Leaves nothing open for the next vectors.
    this.#isOver = true;
    recorder.end();
    await this.#clock.advance(24 * 3_600_000);
  }

  get #now(): number {
    return this.#clock.now - START_MS;
  }

  #take(step: Step, recorder: Recorder): void {
    const { record, rows = [], bytes = 0, open, close, flush: name, timeout_ms, end } = step;
    const input = bytes > 0 ? "x".repeat(bytes / 2) : undefined;
    const fields = { input, output: input }; // a single long string would be cut
    if (open !== undefined) this.#open.set(open, recorder.parent.span({ name: open }));
    if (close !== undefined) this.#open.get(close)!.end();
    for (const row of expand(rows)) {
      if (record === "traces") recorder.trace(row, fields).end();
      else if (record === "spans") recorder.parent.span({ name: row, ...fields }).end();
      else
        recorder.score({
          [record === "trace_scores" ? "traceId" : "spanId"]: recorder.parent.id,
          name: row,
          value: 1,
        } as never);
    }
    if (name !== undefined) this.#flush(name, () => recorder.flush({ timeoutMs: timeout_ms }));
    if (end === "invocation") recorder.end();
    if (end === "process") process.emit("beforeExit", 0);
  }

  #flush(name: string, start: () => Promise<FlushReport>): void {
    const before = this.requests.length;
    const flushing = start();
    const out = this.requests.length - before;
    void flushing.then(({ sent, kept, retried, checkpoints, requests, dropped }) => {
      this.reports[name] = { at: this.#now, sent, kept, retried, checkpoints, requests, dropped, out };
    });
  }

  get #config(): OpikConfig {
    const { max_body_bytes, buffer_bytes, of } = this.#vector;
    return {
      url: "http://opik.test/api",
      background: of === "process",
      limits: { bufferBytes: buffer_bytes },
      transport: { maxBodyBytes: max_body_bytes, fetch: (url, init) => this.#answer(url, init) },
      onError: () => {},
      onDrop: ({ reason, rows }) => {
        if (!this.#isOver) this.dropped[reason] = (this.dropped[reason] ?? 0) + rows;
      },
    };
  }

  async #answer(url: string, { method, body }: { method: string; body: Uint8Array }): Promise<Response> {
    const { answers = [], answer = OK } = this.#vector;
    const [rows] = Object.values(JSON.parse(new TextDecoder().decode(body))) as [{ name: string; end_time?: string }[]];
    const { status, headers = {}, after_ms = 0 } = this.#isOver ? OK : (answers[this.requests.length] ?? answer);
    if (!this.#isOver) {
      const early = method === "POST" && rows.every(({ end_time }) => end_time === undefined);
      const request = `${method} ${url.replace("http://opik.test/api", "")}`;
      this.requests.push({ at: this.#now, request, rows: rows.map(({ name }) => name), ...(early && { early }) });
    }
    if (status === null) return new Promise(() => {});
    if (after_ms > 0) await new Promise<void>((resolve) => environment.after(after_ms, resolve));
    if (status === 0) throw new TypeError("not reached");
    return new Response(null, { status, headers });
  }

  async #client(): Promise<Recorder> {
    const opik = new Opik(this.#config);
    return {
      trace: (name, fields) => opik.trace({ name, ...fields }),
      parent: opik.trace(),
      score: (given) => opik.score(given),
      flush: (options) => opik.flush(options),
      end: () => {},
    };
  }

  /** Its root and the row of its trace are called `root` and end with it. */
  async #invocation(): Promise<Recorder> {
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    return new Promise((resolve) => {
      const handler = withOpik(
        {
          async fetch(_request: globalThis.Request, _env: object, _ctx: object): Promise<Response> {
            const inside = AsyncLocalStorage.snapshot();
            const { span } = getTrackContext()!;
            span.update({ name: "root" });
            resolve({
              trace: (name, fields) => inside(() => trace({ name, ...fields })),
              parent: span,
              score: (given) => inside(() => score(given)),
              flush: (options) => inside(() => flush(options)),
              end,
            });
            await ended;
            return new Response();
          },
        },
        () => this.#config,
      );
      void handler.fetch(new Request("http://host.test/root"), {}, { waitUntil() {} });
    });
  }
}

const NOTHING = { sent: 0, kept: 0, retried: 0, checkpoints: 0, requests: 0, dropped: {} };

for (const vector of vectors as unknown as Vector[]) {
  test(`delivery: ${vector.name}`, async () => {
    const { of, random = 0, steps, requests, reports = {}, dropped = {} } = vector;
    // `shared` is a process too, but only the platform knows that it outlives its requests.
    const isServer = of === "client" || of === "process";
    if (!isServer) Object.assign(globalThis, { EdgeRuntime: "edge-runtime" });
    const clock = useFakeClock(START_MS);
    clock.freeze();
    const { randomBytes } = environment;
    // Four bytes decide the jitter of a wait; ids need more.
    environment.randomBytes = (length) => {
      const bytes = randomBytes(length);
      if (length === 4) new DataView(bytes.buffer).setUint32(0, random);
      return bytes;
    };
    try {
      for (const { end, timeout_ms } of steps) if (end === "invocation") assert.equal(timeout_ms, END_MS);
      const run = new Run(vector, clock);
      await run.play();
      const expected = requests?.map((request) => ({ ...request, rows: expand(request.rows) }));
      if (expected) assert.deepEqual(run.requests, expected);
      for (const [name, { out = run.reports[name]?.out, ...report }] of Object.entries(reports)) {
        assert.deepEqual(run.reports[name], { ...NOTHING, ...report, out }, name);
      }
      assert.deepEqual(run.dropped, dropped);
      assert.equal(clock.timers, 0, "no timer is left");
    } finally {
      environment.randomBytes = randomBytes;
      clock.restore();
      delete (globalThis as { EdgeRuntime?: string }).EdgeRuntime;
    }
  });
}
