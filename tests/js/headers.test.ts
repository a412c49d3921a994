// Runs the vectors of headers on every path that a caller's ids can take. The ids that are read and handed on are the same
// with and without a core.

import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { getTrackContext, Opik, type Span } from "opik-edge";
import { traceMessage, withOpik as withWorker } from "opik-edge/cloudflare";
import { opikMiddleware as middleware } from "opik-edge/node";
import { mintToken, signed } from "opik-edge/relay";
import { withOpik } from "opik-edge/server";
import { InMemoryExporter, useFakeClock } from "opik-edge/testing";
import { withoutCore } from "../support/core.js";
import vectors from "../vectors/headers.json" with { type: "json" };

/** A row of the vectors: the incoming headers and their meaning. */
interface Row {
  readonly name: string;
  readonly now_ms: number;
  readonly given: Record<string, string>;
  readonly trace_id?: string;
  readonly parent_id?: string;
  readonly warning?: string;
}
const ROWS: readonly Row[] = [...vectors.accepted, ...vectors.rejected] as readonly Row[];

/** Runs `fn` for each row at the row's time. */
async function forEachRow(fn: (row: Row) => unknown): Promise<void> {
  for (const row of ROWS) {
    using clock = useFakeClock(row.now_ms);
    clock.freeze();
    await fn(row);
  }
}

/** The row as HTTP headers, or `undefined` if a value has characters outside Latin-1. */
function asHeaders({ given }: Row): Headers | undefined {
  try {
    return new Headers(given);
  } catch {
    return undefined;
  }
}

/** The caller as read, seen from the span that opens under it. */
interface Seen {
  readonly trace: string;
  readonly parent: string;
}

const seenAt = (span: Span): Seen => ({ trace: span.traceId, parent: span.parentSpanId ?? "" });
const seenHere = (): Seen => seenAt(getTrackContext()!.span);

/** A server that answers with the headers of the request. */
async function withEcho(run: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const QUIET = { onError: () => {}, background: false } as const;
const ctx = { waitUntil: () => {} };

/** Every path by which headers come in. */
function pathsOf(config: object): Record<string, (row: Row) => Seen | undefined | Promise<Seen | undefined>> {
  const opik = new Opik(config);
  const server = withOpik((_: Request) => Response.json(seenHere()), config);
  const worker = withWorker(
    { fetch: (_request: Request, _env: object, _ctx: object) => Response.json(seenHere()) },
    () => config,
  );
  const node = middleware(config);
  const asked = async (response: Response | Promise<Response>): Promise<Seen> => (await response).json();
  const request = (row: Row): Request | undefined => {
    const headers = asHeaders(row);
    return headers && new Request("http://127.0.0.1/", { headers });
  };
  return {
    parent: ({ given }) => seenAt(opik.span({ parent: given })),
    "parent as Headers": (row) => {
      const headers = asHeaders(row);
      return headers && seenAt(opik.span({ parent: headers }));
    },
    distributedHeaders: ({ given }) => opik.distributedHeaders(given, seenAt),
    "distributedHeaders without a span": ({ given }) =>
      opik.distributedHeaders(given, () => seenAt(opik.span()), { span: false }),
    "withOpik of a server": (row) => {
      const given = request(row);
      return given && asked(server(given) as Promise<Response>);
    },
    "withOpik of a Worker": (row) => {
      const given = request(row);
      return given && asked(worker.fetch!(given, {}, ctx));
    },
    "a server of Node's": ({ given }) => {
      let seen: Seen | undefined;
      const response = { statusCode: 200, writableFinished: true, emit: () => true };
      const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
      node({ method: "GET", url: "/", headers }, response, () => {
        seen = seenHere();
      });
      return seen;
    },
    traceMessage: ({ given }) =>
      opik.span({}, () => traceMessage({ id: "1", body: { "opik-edge": given } }, (_, span) => seenAt(span))),
  };
}

/** With `isRecording`, a row without a trace begins its own trace; otherwise its span has no ids. */
async function checkPaths(config: object, isRecording: boolean): Promise<void> {
  for (const [path, read] of Object.entries(pathsOf({ ...config, ...QUIET }))) {
    await forEachRow(async (row) => {
      const seen = await read(row);
      if (!seen) return;
      if (row.trace_id !== undefined) {
        assert.deepEqual(seen, { trace: row.trace_id, parent: row.parent_id ?? "" }, `${path}: ${row.name}`);
      } else if (isRecording) {
        assert.ok(seen.trace && ![...Object.values(row.given)].includes(seen.trace), `${path}: ${row.name}`);
        if (path !== "traceMessage") assert.equal(seen.parent, "", `${path}: ${row.name}`);
      } else assert.deepEqual(seen, { trace: "", parent: "" }, `${path}: ${row.name}`);
    });
  }
}

/** Checks that `span.fetch` hands on both ids of the caller, or no header, where nothing is recorded. */
async function checkForwarding(config: object): Promise<void> {
  const opik = new Opik({ ...config, ...QUIET });
  await withEcho(async (url) => {
    await forEachRow(async (row) => {
      const span = opik.span({ parent: row.given });
      const sent = (await (await span.fetch(url)).json()) as IncomingHttpHeaders;
      const ours = Object.fromEntries(Object.entries(sent).filter(([name]) => name.startsWith("opik")));
      const { trace_id: trace, parent_id: parent } = row;
      const expected = parent === undefined ? {} : idHeaders(trace as string, parent);
      assert.deepEqual(ours, expected, row.name);
      assert.deepEqual(span.headers(), expected, row.name);
    });
  });
}

function idHeaders(trace: string, parent: string): Record<string, string> {
  return {
    opik_trace_id: trace,
    opik_parent_span_id: parent,
    "opik-trace-id": trace,
    "opik-parent-span-id": parent,
  };
}

test("headers are read alike where a client records", () =>
  checkPaths({ transport: new InMemoryExporter(), sampleRate: 1 }, true));

test("headers are read alike where nothing is sampled", () =>
  checkPaths({ transport: new InMemoryExporter(), sampleRate: () => 0 }, false));

test("headers are read alike where a client is disabled, and hand the caller's ids on", async () => {
  await checkPaths({ disabled: true }, false);
  await checkForwarding({ disabled: true });
});

test("a signed caller's trace is joined in every case, and in every spelling, in which it is read", async () => {
  const secret = { id: "1", secret: "0123456789abcdef0123456789abcdef" };
  const [audience, projectName] = ["http://127.0.0.1", "Default Project"];
  await forEachRow(async (row) => {
    const headers = asHeaders(row);
    if (!headers) return;
    const transport = new InMemoryExporter();
    const tokens = { secrets: [secret], audience };
    const handler = withOpik((_: Request) => Response.json(seenHere()), {
      ...QUIET,
      transport,
      trust: signed(tokens),
    });
    const of = async (traceId: string): Promise<Seen> => {
      const token = await mintToken({ secret, audience, projectName, traceId, nowMs: row.now_ms });
      const request = new Request(`${audience}/`, { headers });
      request.headers.set("opik-token", token);
      return ((await handler(request)) as Response).json();
    };
    const other = "019ab5c0-7c00-7a11-8a11-000000000000";
    const joined = { trace: row.trace_id, parent: row.parent_id ?? "" };
    // The headers must not name another trace either, even though that trace would not be joined.
    const others = ["opik-trace-id", "x-opik-trace-id"].filter((name) => headers.has(name));
    const isOther =
      row.warning === "conflicting_spellings" && others.some((name) => headers.get(name) !== row.trace_id);
    if (row.trace_id !== undefined && !isOther) assert.deepEqual(await of(row.trace_id), joined, row.name);
    assert.notEqual((await of(other)).trace, row.trace_id, row.name);
  });
});

test("headers are read alike where there is no core, and hand the caller's ids on", async () => {
  await withoutCore(async () => {
    await checkPaths({ transport: new InMemoryExporter() }, false);
    await checkForwarding({ transport: new InMemoryExporter() });
  });
});
