// A Worker in workerd between a caller and a service, by W3C Trace Context alone. The working group's own suite publishes the
// cases (test/test.py of w3c/trace-context). No registry has the suite, so they are written anew. Most are rows of
// tests/vectors/w3c.json; this file adds repeated headers and several calls. CONTRIBUTING.md says how to run the suite itself.

import assert from "node:assert/strict";
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type RunningWorker, startWorker } from "../support/worker.js";
import vectors from "../vectors/w3c.json" with { type: "json" };

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT = `00-${TRACE_ID}-b7ad6b7169203331-01`;
const UNSAMPLED = TRACEPARENT.replace(/1$/, "0");

let collector: Collector;
let worker: RunningWorker;
let service: Server;
before(async () => {
  collector = await startCollector();
  service = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  worker = await startWorker("tests/worker/w3c-worker.ts", { bindings: { OPIK_URL_OVERRIDE: collector.url } });
});
after(async () => {
  await closeAll(worker, collector);
  service.closeAllConnections();
  service.close();
});

/** Calls the Worker with these header lines, and returns the headers of the calls that it made. */
async function callsOf(
  lines: readonly (readonly [name: string, value: string])[],
  calls = 1,
): Promise<IncomingHttpHeaders[]> {
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
  const body = JSON.stringify(Array.from({ length: calls }, () => ({ url, arguments: [] })));
  return new Promise((resolve, reject) => {
    const headers = ["host", new URL(worker.url).host, "content-length", `${body.length}`, ...lines.flat()];
    const request = httpRequest(worker.url, { method: "POST", headers }, (response) => {
      text(response).then((answer) => resolve(JSON.parse(answer)), reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** The trace context of the Worker's only call. */
async function passedOn(...lines: [name: string, value: string][]): Promise<[traceparent: string, tracestate: string]> {
  const [headers = {}] = await callsOf(lines);
  return [String(headers["traceparent"]), String(headers["tracestate"] ?? "")];
}

test("every trace context of the vectors is passed on or begun anew", async () => {
  for (const { name, given, link } of vectors.in) {
    const lines = Object.entries(given) as [string, string][];
    if (lines.some(([header, value]) => /opik/i.test(header) || /[^\t\x20-\x7e]/.test(value))) continue;
    const [traceparent] = await passedOn(...lines);
    const came = lines.find(([header]) => header.toLowerCase() === "traceparent")?.[1].trim() ?? "";
    if (link.startsWith("unsampled")) assert.equal(traceparent, came, name);
    else assert.match(traceparent, /^00-[\da-f]{32}-[\da-f]{16}-0[0-3]$/, name);
    if (link === "foreign") assert.equal(traceparent.slice(3, 35), came.slice(3, 35), name);
  }
});

test("several headers of one name", async () => {
  const other = TRACEPARENT.replace(TRACE_ID, "1".repeat(32));
  const [begun] = await passedOn(["traceparent", TRACEPARENT], ["traceparent", other]);
  assert.ok(begun.startsWith("00-") && !begun.includes(TRACE_ID) && !begun.includes("1".repeat(32)));
  for (const traceparent of [TRACEPARENT, UNSAMPLED]) {
    const first: [string, string] = ["traceparent", traceparent];
    const state = async (...values: string[]) => {
      const [, found] = await passedOn(first, ...values.map((value): [string, string] => ["tracestate", value]));
      return found.replaceAll(/\s|^opik=\w{64},?/g, "").replaceAll(/^,|,$/g, "");
    };
    assert.equal(await state("foo=1", ""), "foo=1");
    assert.equal(await state("", "foo=1"), "foo=1");
    assert.equal(await state("foo=1 \t , \t bar=2, \t baz=3"), "foo=1,bar=2,baz=3");
    assert.equal(await state("foo=1,bar=2", "rojo=1,congo=2", "baz=3"), "foo=1,bar=2,rojo=1,congo=2,baz=3");
    assert.equal(await state("foo=1", `${"z".repeat(256)}=1`), `foo=1,${"z".repeat(256)}=1`);
    assert.equal(await state("foo=1", `${"z".repeat(257)}=1`), "");
    const members = Array.from({ length: 33 }, (_, n) => `bar${n}=${n}`);
    const passed = members.slice(0, traceparent === UNSAMPLED ? 32 : 31);
    assert.equal(await state(members.slice(0, 10).join(), members.slice(10, 32).join()), passed.join());
    assert.equal(await state(members.slice(0, 10).join(), members.slice(10).join()), "");
  }
});

test("several calls of one request", async () => {
  const parts = async (...lines: [string, string][]) =>
    (await callsOf(lines, 3)).map(({ traceparent }) => String(traceparent).split("-"));
  const [, zeros] = ["", TRACEPARENT.replace(TRACE_ID, "0".repeat(32))];
  for (const lines of [[["traceparent", TRACEPARENT]], [], [["traceparent", zeros]]] as [string, string][][]) {
    const calls = await parts(...lines);
    assert.equal(new Set(calls.map(([, , parent]) => parent)).size, 3);
    const traces = [...new Set(calls.map(([, trace]) => trace))];
    assert.equal(traces.length, 1);
    assert.equal(traces[0] === TRACE_ID, lines[0]?.[1] === TRACEPARENT);
    assert.notEqual(traces[0], "0".repeat(32));
  }
});

test("the foreign ids are in the metadata of the recorded root", async () => {
  await passedOn(["traceparent", TRACEPARENT]);
  const isRoot = (row: object) => JSON.stringify(row).includes(TRACE_ID);
  await collector.until(() => collector.spans().some(isRoot));
  const root = collector.spans().find(isRoot)!;
  assert.deepEqual(root["metadata"], { "w3c.trace_id": TRACE_ID, "w3c.parent_id": "b7ad6b7169203331" });
  assert.equal(root.parent_span_id, undefined);
});
