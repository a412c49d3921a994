// Runs the golden vectors of the core on the module as shipped: optimised, and called as the package calls it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Upload } from "../../target/tsc/deliver/upload.js";
import { BYTES_SHIFT, type Core, getCore, LEFT_OUT, SPAN_ROW, TRACE_ROW } from "../../target/tsc/platform/core.js";
import type { Answer } from "../../target/tsc/platform/model.js";
import { ALL_NAMES } from "../../target/tsc/record/headers.js";
import headers from "../vectors/headers.json" with { type: "json" };
import rows from "../vectors/rows.json" with { type: "json" };
import verdicts from "../vectors/verdicts.json" with { type: "json" };
import w3c from "../vectors/w3c.json" with { type: "json" };

/** The order of a row's fields (`Fields` in src/span.rs). */
const ORDER = [
  ...["id", "trace_id", "parent_span_id", "name", "kind", "tags", "model", "provider", "usage", "total_estimated_cost"],
  ...["ttft", "error_type", "error_message", "error_traceback", "thread_id", "project_name", "environment"],
  ...["metadata", "input", "output"],
];

/** The next upload of a buffer. */
function taken(core: Core, handle: number): Upload {
  const { kind, body, rowEnds } = core.take(handle)!;
  return new Upload(kind === SPAN_ROW ? "spans" : "traces", body, rowEnds);
}

test("headers are read as in Rust, with the clock of the vectors", () => {
  const core = getCore();
  const context = (given: Record<string, string>, now: number) => {
    const value = (name: string) => Object.entries(given).find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
    const { spanId, link, ...read } = core.context(ALL_NAMES.map(value), now);
    assert.equal(link, "0");
    assert.ok(spanId < core.mint(now), "an id like those that are minted");
    return read;
  };
  for (const { name, given, now_ms, trace_id, parent_id = "", warning = "" } of headers.accepted) {
    const expected = { traceId: trace_id, parentId: parent_id, joined: true, warning };
    assert.deepEqual(context(given as Record<string, string>, now_ms), expected, name);
  }
  for (const { name, given, now_ms, reason } of headers.rejected) {
    const { joined, warning, parentId } = context(given as Record<string, string>, now_ms);
    assert.deepEqual({ joined, warning, parentId }, { joined: false, warning: reason, parentId: "" }, name);
  }
});

const LINKS = ["none", "foreign", "unsampled", "unsampled_alone"];
type Texts = Record<string, string>;

test("a trace context is read and goes on as in Rust", () => {
  const core = getCore();
  const valuesOf = (given: Texts, names: readonly string[]) =>
    names.map((name) => Object.entries(given).find(([key]) => key.toLowerCase() === name)?.[1]);
  for (const row of w3c.in) {
    const { section, name, given, now_ms = w3c.now_ms, trace_id = "", parent_id = "", warning = "" } = row;
    const read = core.context(valuesOf(given as Texts, ALL_NAMES), now_ms);
    const ids = read.joined ? read.traceId : "";
    const expected = [trace_id, parent_id, row.link, warning];
    assert.deepEqual([ids, read.parentId, LINKS[Number(read.link)], read.warning], expected, `§${section} ${name}`);
  }
  for (const { section, name, incoming, own, traceparent, tracestate, baggage } of w3c.out) {
    const names = ["traceparent", "tracestate", "baggage"];
    const values = [...valuesOf(own as Texts, names), ...valuesOf(incoming as Texts, names.slice(0, 2))];
    const written = core.traceContext([w3c.trace_id + w3c.span_id, ...values].join("\n"));
    assert.deepEqual(written, [traceparent, tracestate, baggage ?? written[2]], `§${section} ${name}`);
  }
});

const LIMITS = { bufferBytes: 8 << 20, batchBytes: 4 << 20, rowBytes: 2 << 20, fieldBytes: 1 << 20 };

test("rows are written as in Rust", () => {
  const core = getCore();
  for (const { name, kind, fields, start_ms, row, left_out, ...rest } of rows) {
    const {
      end_ms,
      updated_ms,
      unfinished = false,
    }: { end_ms?: number; updated_ms?: number; unfinished?: boolean } = rest;
    const handle = core.openBuffer(start_ms, LIMITS);
    const text = ORDER.map((field) => (fields as Record<string, string>)[field] ?? "").join("\u001f");
    const isSpan = kind === "span";
    const period = { startMs: start_ms, endMs: end_ms ?? -1, updatedMs: updated_ms ?? end_ms ?? 0, unfinished };
    const outputAt = text.length - ((fields as Record<string, string>)["output"] ?? "").length;
    const result = core.append(handle, { kind: isSpan ? SPAN_ROW : TRACE_ROW, text, outputAt, ...period, room: 1e9 });
    const { length } = new TextEncoder().encode(text);
    assert.equal(result, (left_out > 0 ? LEFT_OUT : 0) + (length << BYTES_SHIFT), name);
    const upload = taken(core, handle);
    assert.deepEqual([upload.rows, upload.path], [1, `/v1/private/${kind}s/batch`], name);
    assert.equal(new TextDecoder().decode(upload.body), `{"${kind}s":[${row}]}`, name);
    core.closeBuffer(handle);
  }
});

test("verdicts are as in Rust", () => {
  for (const {
    status,
    verdict,
    reason = "",
    wait_ms = 0,
    headers = {},
    attempt = {},
  } of verdicts.verdicts as VerdictVector[]) {
    const { number, rows, is_compressed, now_ms, deadline_ms, random } = { ...verdicts.defaults, ...attempt };
    const sorted = [...new Headers(headers)];
    const answer = { status, headers: sorted, message: "", cause: undefined, isCompressed: is_compressed };
    const given = { number, rows, nowMs: now_ms, deadlineMs: deadline_ms, random };
    assert.deepEqual(getCore().verdict(answer, given), { what: verdict, reason, waitMs: wait_ms }, `${status}`);
  }
  for (const { status, message, ms } of verdicts.windows) {
    assert.equal(getCore().refusedWindow({ status, message } as Answer, 24 * 60 * 60 * 1000), ms, message);
  }
  for (const { failures, was_stopped = false, random, ms } of verdicts.pauses as PauseVector[]) {
    assert.equal(getCore().pause(failures, was_stopped, random), ms);
  }
});

interface VerdictVector {
  status: number;
  verdict: string;
  reason?: string;
  wait_ms?: number;
  headers?: Record<string, string>;
  attempt?: Partial<typeof verdicts.defaults>;
}
interface PauseVector {
  failures: number;
  was_stopped?: boolean;
  random: number;
  ms: number;
}

test("an upload is split between its rows, down to single ones", () => {
  const core = getCore();
  const handle = core.openBuffer(0, LIMITS);
  const ids = Array.from({ length: 7 }, () => core.mint(1_764_000_000_000));
  for (const id of ids) {
    const text = [id, id, "", ...ORDER.slice(3).fill("")].join("\u001f");
    const period = { startMs: 0, endMs: 0, updatedMs: 0, unfinished: false };
    core.append(handle, { kind: SPAN_ROW, text, outputAt: text.length, ...period, room: 1e9 });
  }
  const rowsOf = ({ body }: Upload): string[] =>
    JSON.parse(new TextDecoder().decode(body)).spans.map(({ id }: { id: string }) => id);
  const leaves = (upload: Upload): Upload[] => (upload.rows === 1 ? [upload] : upload.split()!.flatMap(leaves));
  const whole = taken(core, handle);
  assert.deepEqual(rowsOf(whole), ids);
  assert.deepEqual(whole.split()!.flatMap(rowsOf), ids);
  assert.deepEqual(leaves(whole).flatMap(rowsOf), ids);
  assert.deepEqual(
    leaves(whole).map(({ indices }) => indices?.[0]),
    [0, 1, 2, 3, 4, 5, 6],
  );
  core.closeBuffer(handle);
});

test("ten thousand ids of one frozen millisecond are strictly increasing", () => {
  let before = "";
  for (let i = 0; i < 10_000; i += 1) {
    const id = getCore().mint(1_764_000_000_000);
    assert.ok(before < id, `${before} ${id}`);
    before = id;
  }
});
