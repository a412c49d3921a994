// The golden vectors of the core, run on the module as it is shipped: optimised, and called as the package calls it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { getCore, SPAN_ROW, TRACE_ROW } from "../../pkg/core.js";
import headers from "../vectors/headers.json" with { type: "json" };
import rows from "../vectors/rows.json" with { type: "json" };
import verdicts from "../vectors/verdicts.json" with { type: "json" };

/** The order of a row's fields (`Fields` in src/span.rs). */
const ORDER = [
  ...["id", "trace_id", "parent_span_id", "name", "kind", "input", "output", "metadata", "tags", "model", "provider"],
  ...["usage", "total_estimated_cost", "ttft", "error_type", "error_message", "error_traceback", "thread_id"],
  ...["project_name", "environment"],
];

test("headers mean what they mean in Rust, by the vectors' own clock", () => {
  const core = getCore();
  const context = (given: Record<string, string>, now: number) => {
    const value = (name: string) => Object.entries(given).find(([key]) => key.toLowerCase() === name)?.[1] ?? "";
    const names = ["opik_trace_id", "opik_parent_span_id", "opik-trace-id", "opik-parent-span-id"];
    return core.context(names.map(value) as [string, string, string, string], now);
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

test("rows are written as in Rust", () => {
  const core = getCore();
  for (const { name, kind, fields, start_ms, end_ms, row, left_out, ...rest } of rows) {
    const handle = core.openBuffer(start_ms);
    const text = ORDER.map((field) => (fields as Record<string, string>)[field] ?? "").join("\u001f");
    const unfinished = "unfinished" in rest;
    const isSpan = kind === "span";
    const result = core.append(handle, isSpan ? SPAN_ROW : TRACE_ROW, text, start_ms, end_ms, unfinished);
    assert.equal(result, left_out, name);
    const upload = core.take(handle)!;
    assert.deepEqual([upload.rows, upload.path], [1, `/v1/private/${kind}s/batch`], name);
    assert.equal(new TextDecoder().decode(upload.body), `{"${kind}s":[${row}]}`, name);
    core.closeBuffer(handle);
  }
});

test("verdicts are as in Rust", () => {
  for (const { status, reason } of verdicts) assert.equal(getCore().verdict(status), reason);
});

test("ten thousand ids of one frozen millisecond are strictly increasing", () => {
  let before = "";
  for (let i = 0; i < 10_000; i += 1) {
    const id = getCore().mint(1_764_000_000_000);
    assert.ok(before < id, `${before} ${id}`);
    before = id;
  }
});
