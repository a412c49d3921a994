// W3C Trace Context through the public API: the traces that are joined, and the headers of a call beside the host's own.
// tests/vectors/w3c.json has the rules of the format, which tests/js/vectors.test.ts runs.

import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import {
  contextMetaTags,
  fetch,
  getTrackContext,
  instrumentFetch,
  Opik,
  type OpikConfig,
  OpikError,
  type Span,
} from "opik-edge";
import { withContext } from "opik-edge/cloudflare";
import { mintToken, signed } from "opik-edge/relay";
import { withOpik } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";
import { withoutCore } from "../support/core.js";
import vectors from "../vectors/w3c.json" with { type: "json" };

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;
const UNSAMPLED = `00-${TRACE_ID}-${PARENT_ID}-00`;
const OTHERS = `00-${"ab".repeat(16)}-${"cd".repeat(8)}-01`;

const digits = (id: string) => id.replaceAll("-", "");
const memberOf = (span: Pick<Span, "traceId" | "id">) => `opik=${digits(span.traceId)}${digits(span.id)}`;
const halfOf = (span: Pick<Span, "id">) => digits(span.id).slice(16);

interface Sent {
  readonly headers: IncomingHttpHeaders;
  /** The span of the call. */
  readonly call: { readonly id: string; readonly traceId: string };
}

/** The messages of clients. A test that expects one sets its own `onError`. */
const messages: string[] = [];
afterEach(() => assert.deepEqual(messages.splice(0), []));

/** A client with `w3c`, and what it records. */
function client(config: OpikConfig = {}) {
  const exporter = new InMemoryExporter();
  const opik = new Opik({
    transport: exporter,
    background: false,
    propagation: ["w3c"],
    onError: ({ message }) => messages.push(message),
    ...config,
  });
  return { opik, exporter };
}

/** Runs `fn` with the URL of a server that answers with the request's headers. */
async function withEcho<T>(fn: (url: string) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await fn(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** The headers that arrive of a call in a span under `parent`. */
function sent(config: OpikConfig, parent: Record<string, string>, init: RequestInit = {}): Promise<Sent> {
  const { opik, exporter } = client(config);
  return withEcho(async (url) => {
    const span = opik.span({ name: "root", parent });
    const headers = (await (await span.fetch(url, init)).json()) as IncomingHttpHeaders;
    span.end();
    await opik.flush();
    const call = exporter.spans.find(({ name }) => name !== "root");
    return { headers, call: { id: call?.id ?? "", traceId: call?.trace_id ?? "" } };
  });
}

const contextOf = ({ traceparent, tracestate, baggage }: Record<string, unknown>) => ({
  traceparent,
  tracestate,
  baggage,
});

test("by default no trace context is read or sent, and the host's own is not touched", async () => {
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  const { headers } = await sent({ propagation: undefined }, came);
  assert.deepEqual(contextOf(headers), contextOf({}));
  assert.ok(headers["opik_trace_id"]);
  const forwarded = await sent({ propagation: undefined }, came, { headers: { ...came, baggage: "a=1" } });
  assert.deepEqual(contextOf(forwarded.headers), { ...came, baggage: "a=1" });
  const { opik } = client({ propagation: ["opik"] });
  const span = opik.span({ parent: came });
  assert.notEqual(digits(span.traceId), TRACE_ID);
  assert.deepEqual(contextOf(span.headers()), contextOf({}));
});

test("each choice of formats is sent, and others are refused", async () => {
  const sets = { opik: false, w3c: false, baggage: false };
  const choices = [
    ["w3c"],
    ["opik"],
    ["w3c", "opik"],
    ["opik", "w3c", "baggage"],
    ["baggage", "w3c"],
    ["opik", "baggage"],
  ];
  for (const propagation of choices) {
    const { headers, call } = await sent({ propagation: propagation as OpikConfig["propagation"] }, {});
    const has = { opik: "opik-trace-id" in headers, w3c: "tracestate" in headers, baggage: "baggage" in headers };
    const expected = Object.fromEntries(Object.keys(sets).map((name) => [name, propagation.includes(name)]));
    assert.deepEqual(has, expected, propagation.join());
    if (has.w3c) assert.equal(headers["traceparent"], `00-${digits(call.traceId)}-${halfOf(call)}-01`);
    if (has.w3c) assert.equal(headers["tracestate"], memberOf(call));
    if (has.baggage) assert.equal(headers["baggage"], `opik.trace_id=${call.traceId},opik.span_id=${call.id}`);
  }
  for (const propagation of [[], ["baggage"], ["b3"], ["w3c", "w3c"], "w3c", 1, {}, [1]]) {
    assert.throws(
      () => client({ propagation: propagation as never }),
      (error: unknown) =>
        error instanceof OpikError && /^propagation: expected some of opik and w3c/.test(error.message),
      JSON.stringify(propagation),
    );
  }
});

test("a trace that passes through a foreign service comes out whole", async () => {
  const { opik, exporter } = client();
  const first = opik.span({ name: "first" });
  const { traceparent = "", tracestate = "" } = first.headers();
  // The foreign service gives its own parent id, and puts its own member first.
  const between = { traceparent: traceparent.replace(halfOf(first), PARENT_ID), tracestate: `rojo=1,${tracestate}` };
  const second = opik.span({ name: "second", parent: between, metadata: { mine: 1 } });
  const direct = opik.span({ name: "direct", parent: { traceparent, tracestate } });
  for (const span of [second, direct]) {
    assert.deepEqual([span.traceId, span.parentSpanId], [first.traceId, first.id]);
    span.span({ name: "inner" }).end();
    span.end();
  }
  const headers = second.headers();
  assert.equal(headers["traceparent"], `00-${digits(first.traceId)}-${halfOf(second)}-01`);
  assert.equal(headers["tracestate"], `${memberOf(second)},rojo=1`);
  first.end();
  await opik.flush();
  const metadata = Object.fromEntries(exporter.spans.map((span) => [span.name, span["metadata"]]));
  const foreign = { "w3c.trace_id": digits(first.traceId), "w3c.parent_id": PARENT_ID };
  assert.deepEqual(metadata, {
    first: undefined,
    second: { ...foreign, mine: 1 },
    direct: undefined,
    inner: undefined,
  });
});

test("a foreign trace goes on, and our own trace begins", async () => {
  const { opik, exporter } = client();
  const span = opik.span({ name: "root", parent: { traceparent: TRACEPARENT, tracestate: "congo=1" } });
  assert.notEqual(digits(span.traceId), TRACE_ID);
  assert.equal(span.parentSpanId, undefined);
  assert.deepEqual(span.headers(), {
    traceparent: `00-${TRACE_ID}-${halfOf(span)}-01`,
    tracestate: `${memberOf(span)},congo=1`,
  });
  const child = span.span({ name: "child" });
  assert.equal(child.headers()["traceparent"], `00-${TRACE_ID}-${halfOf(child)}-01`);
  child.end();
  span.end();
  await opik.flush();
  const foreign = { "w3c.trace_id": TRACE_ID, "w3c.parent_id": PARENT_ID };
  assert.deepEqual(exporter.traces[0]?.["metadata"], foreign); // mirrored from the root
  assert.deepEqual(
    exporter.spans.map((span) => [span.name, span["metadata"]]),
    [
      ["child", undefined],
      ["root", foreign],
    ],
  );
});

test("Opik's headers win, and the traceparent goes on", () => {
  const { opik } = client({ propagation: ["opik", "w3c"] });
  const caller = opik.span({});
  const parent = { ...caller.headers(), traceparent: UNSAMPLED, tracestate: "congo=1" };
  const span = opik.span({ parent });
  assert.deepEqual([span.traceId, span.parentSpanId], [caller.traceId, caller.id]);
  assert.equal(span.headers()["traceparent"], `00-${TRACE_ID}-${halfOf(span)}-00`);
  assert.equal(span.headers()["tracestate"], `${memberOf(span)},congo=1`);
});

test("extract(inject(x)) is x", () => {
  const sets = [["w3c"], ["opik"], ["opik", "w3c"], ["opik", "w3c", "baggage"]] as const;
  for (const propagation of sets) {
    for (const spelling of ["both", "underscore", "hyphen"] as const) {
      const { opik } = client({ propagation });
      for (const parent of [{}, { traceparent: TRACEPARENT, tracestate: "congo=1,rojo=2" }]) {
        const span = opik.span({ parent });
        for (const target of [new Headers(), {}, Object.freeze({ accept: "*/*" })]) {
          const again = client({ propagation: ["opik", "w3c"] }).opik.span({
            parent: span.inject(target, { spelling }),
          });
          assert.deepEqual([again.traceId, again.parentSpanId], [span.traceId, span.id], `${propagation} ${spelling}`);
        }
      }
    }
  }
});

test("an unsampled caller is not recorded, and its context goes on as it came", async () => {
  for (const tracestate of ["congo=1, rojo=2", "opik=1"]) {
    const came = { traceparent: UNSAMPLED, tracestate };
    const { headers, call } = await sent({}, came);
    assert.deepEqual(contextOf(headers), contextOf(came));
    assert.equal(call.id, "");
    const { opik } = client();
    assert.deepEqual(opik.span({ parent: came }).headers(), came);
    const forwarded = await sent({}, came, { headers: { ...came, accept: "*/*" } });
    assert.deepEqual(contextOf(forwarded.headers), contextOf(came));
    const own = await sent({}, came, { headers: { traceparent: OTHERS, tracestate: "mine=1" } });
    assert.deepEqual(contextOf(own.headers), contextOf({ traceparent: OTHERS, tracestate: "mine=1" }));
  }
  const { headers } = await sent({}, { traceparent: UNSAMPLED, tracestate: "in valid" });
  assert.deepEqual(contextOf(headers), contextOf({ traceparent: UNSAMPLED }));
});

test("an unsampled context goes on by the global fetch too, to targets that are allowed", async () => {
  const came = { traceparent: UNSAMPLED, tracestate: "congo=1" };
  const stop = instrumentFetch();
  try {
    await withEcho(async (url) => {
      for (const propagateTo of [[new URL(url).origin], undefined]) {
        const { opik } = client({ propagateTo });
        const response = await opik.span({ parent: came }, () => globalThis.fetch(url));
        const arrived = contextOf((await response.json()) as Record<string, string>);
        assert.deepEqual(arrived, contextOf(propagateTo ? came : {}));
      }
    });
  } finally {
    stop();
  }
});

test("our own unsampled trace sends only a context that came in", async () => {
  const config: OpikConfig = { sampleRate: () => 0, propagation: ["opik", "w3c"] };
  const { headers } = await sent(config, {});
  assert.deepEqual([headers["opik_trace_id"], contextOf(headers)], [undefined, contextOf({})]);
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  assert.deepEqual(contextOf((await sent(config, came)).headers), contextOf(came));
});

test("a disabled client passes on a context that came in", async () => {
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  for (const init of [{}, { headers: came }]) {
    const { headers } = await sent({ disabled: true }, came, init);
    assert.deepEqual(contextOf(headers), contextOf(came));
  }
  const strange = { traceparent: `${TRACEPARENT}\nx`, tracestate: "\u4e00" };
  assert.deepEqual(client({ disabled: true }).opik.span({ parent: strange }).inject(new Headers()), new Headers());
});

test("messages and pages carry Opik's ids, whatever calls carry", () => {
  const { opik } = client();
  opik.span({ name: "root" }, (span) => {
    const ids = { opik_trace_id: span.traceId, opik_parent_span_id: span.id };
    assert.deepEqual(withContext({ order: 7 }), { order: 7, "opik-edge": ids });
    const tags = contextMetaTags(span).map(({ name, content }) => [name, content]);
    assert.deepEqual(tags, [
      ["opik-trace-id", span.traceId],
      ["opik-parent-span-id", span.id],
    ]);
  });
});

test("the context of somebody else on the call stays, behind our member", async () => {
  const init = { headers: { TraceParent: OTHERS, TraceState: "mine=1" } };
  for (const headers of [init.headers, new Headers(init.headers), Object.entries(init.headers)]) {
    const { headers: arrived, call } = await sent({}, { traceparent: TRACEPARENT }, { headers });
    assert.deepEqual(contextOf(arrived), contextOf({ traceparent: OTHERS, tracestate: `${memberOf(call)},mine=1` }));
  }
});

test("the baggage of others is kept", async () => {
  const config: OpikConfig = { propagation: ["w3c", "baggage"] };
  const { headers, call } = await sent(config, {}, { headers: { Baggage: "user=7,opik.trace_id=1" } });
  assert.equal(headers["baggage"], `opik.trace_id=${call.traceId},opik.span_id=${call.id},user=7`);
  const silent = await sent({ ...config, sampleRate: () => 0 }, {}, { headers: { baggage: "user=7" } });
  assert.equal(silent.headers["baggage"], "user=7");
  const untouched = await sent({}, {}, { headers: { baggage: "user=7,opik.trace_id=1" } });
  assert.equal(untouched.headers["baggage"], "user=7,opik.trace_id=1");
});

test("a target that may have no headers gets none of ours, and keeps its own", async () => {
  const config: OpikConfig = { propagateTo: ["https://elsewhere.example"], propagation: ["opik", "w3c", "baggage"] };
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  assert.deepEqual(contextOf((await sent(config, came)).headers), contextOf({}));
  assert.deepEqual(contextOf((await sent(config, came, { headers: came })).headers), contextOf({}));
  const own = { traceparent: OTHERS, tracestate: "mine=1", baggage: "a=1" };
  assert.deepEqual(contextOf((await sent(config, came, { headers: own })).headers), own);
});

test("tabs around members and around the value are white space", async () => {
  for (const traceparent of [TRACEPARENT, UNSAMPLED]) {
    const { headers, call } = await sent({}, { traceparent, tracestate: "foo=1 \t,\tbar=2" });
    const passed = traceparent === UNSAMPLED ? "foo=1 \t,\tbar=2" : `${memberOf(call)},foo=1,bar=2`;
    assert.equal(headers["tracestate"], passed);
  }
  const span = client().opik.span({ parent: { traceparent: `\t${TRACEPARENT} ` } });
  assert.equal(span.headers()["traceparent"], `00-${TRACE_ID}-${halfOf(span)}-01`);
});

test("an invalid context that came in is not sent on, whether the trace is sampled or not", async () => {
  for (const came of [{ traceparent: "00-zz" }, { traceparent: `${TRACEPARENT},${TRACEPARENT}` }, {}]) {
    const { headers } = await sent({ sampleRate: () => 0 }, { ...came, tracestate: "congo=1" });
    assert.deepEqual(contextOf(headers), contextOf({}));
    const { opik } = client();
    const span = opik.span({ parent: { ...came, tracestate: "congo=1" } });
    assert.equal(span.headers()["tracestate"], memberOf(span));
  }
});

test("headers that the host's iterator gives once are kept as well", async () => {
  function* once() {
    yield ["traceparent", OTHERS];
    yield ["tracestate", "mine=1"];
  }
  const { headers, call } = await sent({}, {}, { headers: once() as never });
  assert.deepEqual(contextOf(headers), contextOf({ traceparent: OTHERS, tracestate: `${memberOf(call)},mine=1` }));
});

test("headers that are too long for the core stay as they are", () => {
  const { opik } = client({ propagation: ["w3c", "baggage"] });
  const baggage = `a=${"b".repeat(70_000)}`;
  assert.equal(opik.span({}).inject({ baggage } as Record<string, string>)["baggage"], baggage);
});

test("by default inject does not look at the values of its target", () => {
  let reads = 0;
  const target = Object.defineProperty({}, "traceparent", { enumerable: true, get: () => (reads += 1) });
  client({ propagation: undefined })
    .opik.span({})
    .inject(target as Record<string, string>);
  assert.equal(reads, 0);
});

test("a foreign caller's headers are usable ones", () => {
  const messages: string[] = [];
  const { opik } = client({ onError: ({ message }) => messages.push(message) });
  opik.distributedHeaders({ traceparent: TRACEPARENT }, () => {});
  assert.deepEqual(messages, []);
});

test("a forwarded request of an untrusted caller carries none of its context", async () => {
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  for (const config of [{}, { propagateTo: ["https://elsewhere.example"] }]) {
    const handler = withOpik(
      (request: Request) =>
        withEcho(async (url) => Response.json(await (await fetch(new Request(url, request))).json())),
      { transport: new InMemoryExporter(), propagation: ["w3c"], onError: () => {}, trust: "never", ...config },
    );
    const response = await handler(new Request("http://127.0.0.1/", { headers: came }));
    const arrived = (await response.json()) as Record<string, string>;
    assert.ok(!JSON.stringify(contextOf(arrived)).includes(TRACE_ID));
    assert.doesNotMatch(`${arrived["tracestate"]}`, /congo/);
    assert.equal("traceparent" in arrived, !("propagateTo" in config));
  }
});

test("a token for a trace lets its context in, and no other", async () => {
  const tokens = { secrets: [{ id: "a", secret: "0123456789abcdef".repeat(2) }], audience: "https://app.test" };
  const handler = withOpik(async (_: Request) => new Response(getTrackContext()?.span.traceId), {
    transport: new InMemoryExporter(),
    projectName: "pages",
    propagation: ["w3c"],
    onError: () => {},
    trust: signed(tokens),
  });
  const { opik } = client();
  const [page, other] = [opik.span({}), opik.span({})];
  const token = await mintToken({
    secret: tokens.secrets[0]!,
    audience: tokens.audience,
    projectName: "pages",
    traceId: page.traceId,
  });
  const joined = async (headers: Record<string, string>) =>
    (await handler(new Request("https://app.test/", { headers: { ...headers, "opik-token": token } }))).text();
  assert.equal(await joined(page.headers()), page.traceId);
  for (const headers of [other.headers(), { ...other.headers(), opik_trace_id: page.traceId }]) {
    assert.notEqual(await joined(headers), other.traceId);
  }
  assert.notEqual(await joined({ ...page.headers(), opik_trace_id: other.traceId }), other.traceId);
});

test("trust holds for a trace context too", async () => {
  const exporter = new InMemoryExporter();
  const handler = withOpik(
    async (_: Request) => withEcho(async (url) => (await fetch(url)).json().then(Response.json)),
    {
      transport: exporter,
      propagation: ["w3c"],
      onError: () => {},
      trust: (request: Request) => request.headers.has("authorization"),
    },
  );
  const ask = async (headers: Record<string, string>) =>
    (await handler(new Request("http://127.0.0.1/", { headers }))).json() as Promise<Record<string, string>>;
  const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
  const trusted = await ask({ ...came, authorization: "yes" });
  assert.match(trusted["traceparent"] ?? "", RegExp(`^00-${TRACE_ID}-`));
  assert.match(trusted["tracestate"] ?? "", /^opik=\w{64},congo=1$/);
  const untrusted = await ask(came);
  assert.doesNotMatch(untrusted["traceparent"] ?? TRACE_ID, RegExp(TRACE_ID));
  assert.match(untrusted["tracestate"] ?? "", /^opik=\w{64}$/);
});

test("every traceparent of the vectors goes through a handler", async () => {
  const handler = withOpik(
    async (_: Request) => withEcho(async (url) => Response.json(await (await fetch(url)).json())),
    { transport: new InMemoryExporter(), propagation: ["w3c"], onError: () => {} },
  );
  for (const { name, given, link } of vectors.in) {
    if (/Opik|Go SDK/.test(name)) continue;
    let headers: Headers;
    try {
      headers = new Headers(given as Record<string, string>);
    } catch {
      continue; // no HTTP header
    }
    const arrived = (await (
      await handler(new Request("http://127.0.0.1/", { headers }))
    ).json()) as IncomingHttpHeaders;
    const traceparent = String(arrived["traceparent"]);
    const isForeign = traceparent.startsWith(`00-${headers.get("traceparent")?.slice(3, 35)}-`);
    if (link.startsWith("unsampled")) assert.equal(traceparent, headers.get("traceparent"), name);
    else assert.match(traceparent, /^00-[\da-f]{32}-[\da-f]{16}-0[0-3]$/, name);
    if (link === "foreign") assert.ok(isForeign, name);
  }
});

// The last test, since no core can be made afterwards.
test("without a core, a context that came in goes on", async () => {
  await withoutCore(async () => {
    const came = { traceparent: TRACEPARENT, tracestate: "congo=1" };
    for (const init of [{}, { headers: came }]) {
      const { headers } = await sent({ onError: () => {} }, came, init);
      assert.deepEqual(contextOf(headers), contextOf(came));
    }
  });
});
