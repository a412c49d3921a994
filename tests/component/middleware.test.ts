// The middleware around a service that knows nothing of tracing, in `wasmtime serve`, with a real collector.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, type StoredRow, startCollector } from "../support/collector.js";
import type { Faults } from "../support/faults.js";
import { recordSuite } from "../support/versions.js";
import { BUILT, plug, type Served, serve, wasmtimeVersion } from "./serve.js";

recordSuite("component", "wasmtime (middleware)", wasmtimeVersion);

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const CALLER = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };
const NAMES = ["opik_trace_id", "opik_parent_span_id", "opik-trace-id", "opik-parent-span-id"];
const KEY = "opik-key-1";
const SERVICE = join(BUILT, "apps/rust-service.wasm");

/** The lines of `/headers`: what the service receives. */
async function received(response: Response): Promise<Map<string, string>> {
  const lines = (await response.text()).split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => line.split(": ", 2) as [string, string]));
}

describe("the middleware in wasmtime", () => {
  let collector: Collector;
  let traced: Served;
  let composed: string;
  let fault: Faults | undefined;

  before(async () => {
    collector = await startCollector({ fault: (request) => (typeof fault === "function" ? fault(request) : fault) });
    composed = await plug(join(BUILT, "opik-http-middleware.wasm"), SERVICE, "middleware-test.wasm");
    traced = await serve(composed, variables());
  });
  after(() => closeAll(traced, collector));
  beforeEach(() => {
    fault = undefined;
  });

  const variables = (more: Record<string, string> = {}) => ({
    OPIK_URL_OVERRIDE: collector.url,
    OPIK_API_KEY: KEY,
    OPIK_WORKSPACE: "team",
    OPIK_PROJECT_NAME: "edge",
    ...more,
  });
  /** A middleware with other settings, for one test. */
  const withSettings = async (more: Record<string, string>, run: (served: Served) => Promise<void>): Promise<void> => {
    const served = await serve(composed, variables(more));
    try {
      await run(served);
    } finally {
      await served.close();
    }
  };
  const spansOf = (name: string) => collector.spans().filter((span) => span["name"] === name);
  /** Waits for the root of this name, the first or another. */
  const rootOf = async (name: string, count = 1): Promise<StoredRow> => {
    await collector.until(() => spansOf(name).length >= count);
    return spansOf(name)[count - 1]!;
  };
  /** A path for one request. The service ignores its end. */
  const unique = (path: string) => `${path}/${randomUUID()}`;

  for (const [trace, parent] of [
    ["opik_trace_id", "opik_parent_span_id"],
    ["Opik-Trace-Id", "Opik-Parent-Span-Id"],
  ] as const) {
    test(`joins the trace of a caller by ${trace}, and is the caller of the service`, async () => {
      const path = unique("/headers");
      const response = await fetch(traced.url + path, {
        headers: { [trace]: TRACE, [parent]: PARENT, "x-other": "kept" },
      });
      const headers = await received(response);
      const root = await rootOf(`GET ${path}`);
      assert.deepEqual([root.trace_id, root.parent_span_id, root["project_name"]], [TRACE, PARENT, "edge"]);
      assert.deepEqual([root["input"], root["output"]], [{ method: "GET", url: path }, { status: 200 }]);
      for (const name of NAMES) assert.equal(headers.get(name), name.includes("trace") ? TRACE : root.id, name);
      assert.equal(headers.get("x-other"), "kept");
      assert.equal(
        collector.traces().some(({ id }) => id === TRACE),
        false,
        "the trace's row is the caller's",
      );
    });
  }

  test("without a caller it begins a trace, whose row is like its root", async () => {
    const path = unique("/headers");
    const headers = await received(await fetch(`${traced.url}${path}?token=secret`));
    const root = await rootOf(`GET ${path}`);
    await collector.until(() => collector.traces().some(({ id }) => id === root.trace_id));
    const trace = collector.traces().find(({ id }) => id === root.trace_id)!;
    assert.equal(root.parent_span_id, undefined);
    for (const field of ["name", "input", "output", "start_time", "end_time"]) {
      assert.deepEqual(trace[field], root[field], field);
    }
    assert.equal(headers.get("opik_trace_id"), trace.id);
    assert.doesNotMatch(JSON.stringify([root, trace]), /secret/);
  });

  test("a garbled header begins a trace, with a warning", async () => {
    const path = unique("/headers");
    await fetch(traced.url + path, { headers: { opik_trace_id: "garbage" } });
    assert.notEqual((await rootOf(`GET ${path}`)).trace_id, TRACE);
    await traced.logged(/opik-edge: trace headers: trace_not_uuid\n/);
  });

  test("a browser's preflight is not traced", async () => {
    const path = unique("/headers");
    const headers = { origin: "http://page.test", "access-control-request-method": "POST" };
    const sent = await received(await fetch(traced.url + path, { method: "OPTIONS", headers }));
    assert.equal(sent.has("opik_trace_id"), false);
    await fetch(traced.url + path);
    await rootOf(`GET ${path}`);
    assert.equal(spansOf(`OPTIONS ${path}`).length, 0);
  });

  for (const status of [204, 304, 404, 418, 500, 503]) {
    test(`the status ${status} is the output`, async () => {
      const before = spansOf(`GET /status/${status}`).length;
      assert.equal((await fetch(`${traced.url}/status/${status}`)).status, status);
      const root = await rootOf(`GET /status/${status}`, before + 1);
      assert.deepEqual([root["output"], root["error_info"]], [{ status }, undefined]);
    });
  }

  test("an error of the service is the root's", async () => {
    const path = unique("/error");
    assert.equal((await fetch(traced.url + path)).status, 500);
    const { exception_type, message } = (await rootOf(`GET ${path}`))["error_info"] as Record<string, string>;
    assert.deepEqual(
      [exception_type, message],
      ["wasi:http/error-code", 'InternalError(Some("the service has failed"))'],
    );
  });

  test("a trap in the service fails its request only", async () => {
    assert.equal((await fetch(`${traced.url}/trap`)).status, 500);
    const path = unique("/headers");
    assert.equal((await fetch(traced.url + path)).status, 200);
    await rootOf(`GET ${path}`);
  });

  test("the client sees the same with tracing and without", async () => {
    const plain = await serve(SERVICE);
    try {
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
        for (const path of [
          "/status/200",
          "/status/204",
          "/status/304",
          "/status/404",
          "/chunks/3",
          "/chunks/0",
          "/echo",
          "/nothing",
          "/error",
          "/trap",
        ]) {
          const seen = async ({ url }: Served): Promise<unknown> => {
            const init = { method, headers: { "content-type": "text/x" } };
            const response = await fetch(
              url + path,
              "PO PU".includes(method.slice(0, 2)) ? { ...init, body: "a body" } : init,
            );
            // `/echo` hands on the host's own stream, whose length the host knows unless it passes through us.
            const ignored = path === "/echo" ? ["date", "content-length", "transfer-encoding"] : ["date"];
            const headers = [...response.headers].filter(([name]) => !ignored.includes(name));
            return [response.status, headers, await response.text()];
          };
          assert.deepEqual(await seen(traced), await seen(plain), `${method} ${path}`);
        }
      }
    } finally {
      await plain.close();
    }
  });

  test("20 MB pass through, there and back", async () => {
    const body = Buffer.alloc(20_000_000);
    for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at, at);
    const before = spansOf("POST /echo").length;
    const response = await fetch(`${traced.url}/echo`, { method: "POST", body, headers: { "content-type": "x/y" } });
    assert.equal(response.headers.get("content-type"), "x/y");
    assert.equal(Buffer.from(await response.arrayBuffer()).equals(body), true);
    assert.deepEqual((await rootOf("POST /echo", before + 1))["output"], { status: 200 });
  });

  test("a root lasts as long as its response, and knows of a client that hangs up", async () => {
    const path = unique("/endless");
    const controller = new AbortController();
    const response = await fetch(traced.url + path, { signal: controller.signal });
    const reader = response.body!.getReader();
    await reader.read();
    // Another request's rows arrive: rows that ended before would have arrived with them.
    const other = unique("/headers");
    await fetch(traced.url + other);
    await rootOf(`GET ${other}`);
    assert.equal(spansOf(`GET ${path}`).length, 0);
    await reader.read();
    controller.abort();
    const root = await rootOf(`GET ${path}`);
    const { opik_edge_stopped_reading: bytes } = root["metadata"] as { opik_edge_stopped_reading: number };
    assert.ok(bytes > 0, `${bytes} bytes`);
    assert.ok(Date.parse(root["end_time"] as string) > Date.parse(root["start_time"] as string));
  });

  test("a client that hangs up while it sends costs its request only", async () => {
    const path = unique("/echo");
    const { port } = new URL(traced.url);
    const socket = connect(Number(port), "127.0.0.1");
    await once(socket, "connect");
    socket.write(`POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\nthe beginning`);
    await once(socket, "data");
    socket.destroy();
    const next = unique("/headers");
    await fetch(traced.url + next);
    await rootOf(`GET ${next}`);
    await rootOf(`POST ${path}`);
  });

  test("64 requests at a time: each has its own trace, and its own headers", async () => {
    const paths = Array.from({ length: 64 }, () => unique("/headers"));
    const answers = await Promise.all(paths.map(async (path) => received(await fetch(traced.url + path))));
    await collector.until(() => paths.every((path) => spansOf(`GET ${path}`).length > 0));
    const roots = paths.map((path) => spansOf(`GET ${path}`)[0]!);
    assert.equal(new Set(roots.map((root) => root.trace_id)).size, 64);
    assert.deepEqual(
      answers.map((headers) => [headers.get("opik_trace_id"), headers.get("opik_parent_span_id")]),
      roots.map((root) => [root.trace_id, root.id]),
    );
  });

  test("one delivery is under way at a time, and takes along what ends meanwhile", async () => {
    const served = await serve(composed, variables({ OPIK_PROJECT_NAME: "one-delivery" }), [
      "--max-instance-reuse-count=1000",
    ]);
    const uploads = () =>
      collector.requests.filter(({ path, body }) => path.endsWith("/spans/batch") && body.includes("one-delivery"));
    const paths = Array.from({ length: 10 }, () => unique("/headers"));
    const has = (path: string) => spansOf(`GET ${path}`).length > 0;
    try {
      for (const path of paths) await fetch(served.url + path);
      await collector.until(() => paths.every(has));
      assert.ok(uploads().length <= 4, `${uploads().length} uploads for 10 requests`);
    } finally {
      await served.close();
    }
  });

  test("rows are sent again when Opik asks for it", async () => {
    const path = unique("/headers");
    fault = ({ ofPath, body }) =>
      body.includes(path) && refused.add(ofPath).size <= 2
        ? { status: 429, headers: { "retry-after": "1" } }
        : undefined;
    const refused = new Set<number>();
    assert.equal((await fetch(traced.url + path)).status, 200);
    const statuses = () => collector.requests.filter(({ body }) => body.includes(path)).map(({ status }) => status);
    await collector.until(() => statuses().filter((status) => status === 204).length === 2);
    assert.deepEqual(statuses().sort(), [204, 204, 429, 429]);
  });

  test("no redirect is followed, so that nobody else receives the key", async () => {
    const asked: string[] = [];
    const elsewhere = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end();
    }).listen(0, "127.0.0.1");
    await once(elsewhere, "listening");
    fault = { redirect: `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/` };
    await withSettings({}, async (served) => {
      assert.equal((await fetch(`${served.url}/headers`)).status, 200);
      await served.logged(/opik-edge: 2 rows are lost: \w+\n/);
    });
    assert.deepEqual(asked, []);
    elsewhere.close();
  });

  test("without an Opik every request is answered, with a warning about the loss", async () => {
    const gone = createServer().listen(0, "127.0.0.1");
    await once(gone, "listening");
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, "close");
    await withSettings({ OPIK_URL_OVERRIDE: `http://127.0.0.1:${port}/api` }, async (served) => {
      const statuses = await Promise.all(
        Array.from({ length: 64 }, async () => (await fetch(`${served.url}/headers`)).status),
      );
      assert.deepEqual(new Set(statuses), new Set([200]));
      await served.logged(/opik-edge: \d+ rows are lost: \w+\n/);
    });
  });

  test("no request waits for an Opik that does not answer", async () => {
    fault = "hang";
    await withSettings({}, async (served) => {
      for (let count = 0; count < 20; count++) assert.equal((await fetch(`${served.url}/headers`)).status, 200);
      assert.equal(collector.requests.filter(({ status }) => status === 0).length, 0, "no delivery has ended");
    });
  });

  test("wrong settings cause one warning, and requests pass through", async () => {
    await withSettings({ OPIK_URL_OVERRIDE: "opik.example" }, async (served) => {
      const headers = await received(await fetch(`${served.url}/headers`, { headers: CALLER }));
      assert.deepEqual([headers.get("opik_trace_id"), headers.get("opik_parent_span_id")], [TRACE, PARENT]);
      await served.logged(/opik-edge: nothing is traced: the URL has to be an absolute/);
      await fetch(`${served.url}/headers`);
      assert.equal(served.log().match(/nothing is traced/g)?.length, 1);
    });
  });

  test("a disabled middleware changes nothing", async () => {
    await withSettings({ OPIK_TRACK_DISABLE: "true" }, async (served) => {
      const before = collector.requests.length;
      const headers = await received(await fetch(`${served.url}/headers`, { headers: { "Opik-Trace-Id": TRACE } }));
      assert.deepEqual([headers.get("opik-trace-id"), headers.has("opik_trace_id")], [TRACE, false]);
      assert.equal(collector.requests.length, before);
    });
  });

  test("a trace outside the sample has no headers and no rows; a caller's trace is recorded", async () => {
    await withSettings({ OPIK_EDGE_SAMPLE_RATE: "0" }, async (served) => {
      const [path, joined] = [unique("/headers"), unique("/headers")];
      const headers = await received(await fetch(served.url + path, { headers: { opik_trace_id: "garbage" } }));
      for (const name of NAMES) assert.equal(headers.has(name), false, name);
      await fetch(served.url + joined, { headers: CALLER });
      assert.equal((await rootOf(`GET ${joined}`)).trace_id, TRACE);
      assert.equal(spansOf(`GET ${path}`).length, 0);
    });
  });

  test("a W3C trace goes through, and an unsampled one unchanged", async () => {
    await withSettings({ OPIK_EDGE_PROPAGATION: "w3c" }, async (served) => {
      const path = unique("/headers");
      const context = (flags: string) => `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-${flags}`;
      const ask = async (traceparent: string) =>
        received(await fetch(served.url + path, { headers: { traceparent, tracestate: "congo=1" } }));
      const unsampled = await ask(context("00"));
      assert.deepEqual([unsampled.get("traceparent"), unsampled.get("tracestate")], [context("00"), "congo=1"]);
      const headers = await ask(context("01"));
      const root = await rootOf(`GET ${path}`);
      assert.equal(spansOf(`GET ${path}`).length, 1);
      const foreign = { "w3c.trace_id": "0af7651916cd43dd8448eb211c80319c", "w3c.parent_id": "b7ad6b7169203331" };
      assert.deepEqual(root["metadata"], foreign);
      const [trace = "", span = ""] = [root.trace_id, root.id].map((id) => `${id}`.replaceAll("-", ""));
      assert.equal(headers.get("traceparent"), context("01").replace("b7ad6b7169203331", span.slice(16)));
      assert.equal(headers.get("tracestate"), `opik=${trace}${span},congo=1`);
      for (const name of NAMES) assert.equal(headers.has(name), false, name);
    });
  });

  test("a caller without trust does not write into its trace", async () => {
    await withSettings({ OPIK_EDGE_TRUST: "never" }, async (served) => {
      const path = unique("/headers");
      const headers = await received(await fetch(served.url + path, { headers: CALLER }));
      const root = await rootOf(`GET ${path}`);
      assert.notEqual(root.trace_id, TRACE);
      assert.deepEqual(root["metadata"], { opik_edge_untrusted: { traceId: TRACE, spanId: PARENT } });
      for (const name of NAMES) assert.equal(headers.get(name), name.includes("trace") ? root.trace_id : root.id, name);
      await served.logged(/opik-edge: a caller is not trusted/);
    });
  });

  test("secrets are hidden by name, and in paths", async () => {
    await withSettings({ OPIK_EDGE_REDACT: "URL,/headers/*" }, async (served) => {
      const before = spansOf("GET /headers/*").length;
      await fetch(`${served.url}/headers/hunter2`);
      const root = await rootOf("GET /headers/*", before + 1);
      assert.deepEqual(root["input"], { method: "GET", url: "[redacted]" });
      assert.doesNotMatch(JSON.stringify(root), /hunter2/);
    });
  });

  test("the key is in the header of each upload, and in no row", () => {
    const uploads = collector.requests.filter(({ method }) => method === "POST");
    assert.ok(uploads.length > 20);
    for (const { headers, body } of uploads) {
      assert.deepEqual([headers.authorization, headers["comet-workspace"]], [KEY, "team"]);
      assert.equal(body.includes(KEY), false);
    }
  });
});
