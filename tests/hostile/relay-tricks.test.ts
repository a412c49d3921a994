// Forged requests to a relay in workerd, written byte by byte as no browser would send them; and many requests at once,
// none of which may see a byte of another.

import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { LONG } from "../support/long.js";
import { type RunningWorker, startWorker } from "../support/worker.js";
import { generateBody } from "./relay-bodies.js";
import { idOf, ORIGIN, post, relayTo, spanOf, traceOf, Upstream } from "./relay-support.js";
import { seeded } from "./seeded.js";

const KEY = "the-key-that-stays-here";

describe("in workerd", () => {
  let collector: Collector;
  let worker: RunningWorker;
  before(async () => {
    collector = await startCollector();
    const bindings = { OPIK_URL_OVERRIDE: collector.url, OPIK_API_KEY: KEY, OPIK_WORKSPACE: "ours" };
    worker = await startWorker("tests/relay/worker.ts", { bindings });
  });
  after(() => closeAll(worker, collector));

  interface Sent {
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Record<string, string | string[]>;
    readonly body?: string | Uint8Array;
  }
  /** The status and the code of the answer to these bytes. */
  function send({ method = "POST", path = "/opik", headers = {}, body = good() }: Sent): Promise<[number, unknown]> {
    const given = { origin: ORIGIN, "content-type": "text/plain", ...headers };
    return new Promise((resolve, reject) => {
      const sending = httpRequest(worker.url + path, { method, headers: given }, async (response) => {
        let text = "";
        for await (const chunk of response) text += chunk;
        assert.ok(!text.includes(KEY) && !text.includes(collector.url), text);
        resolve([response.statusCode!, text.startsWith("{") ? JSON.parse(text).code : undefined]);
      });
      sending.on("error", reject);
      sending.end(method === "GET" || method === "HEAD" ? undefined : body);
    });
  }
  const good = (more: object = {}): string => JSON.stringify({ spans: [spanOf(Date.now(), more)] });

  const refused: Record<string, Sent> = {
    ...Object.fromEntries(
      ["GET", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND"].map((method) => [`the method ${method}`, { method }]),
    ),
    "a method in a header": { method: "GET", headers: { "x-http-method-override": "POST" } },
    ...Object.fromEntries(
      [
        ...[
          "text/html",
          "multipart/form-data",
          "application/x-www-form-urlencoded",
          "text/plainx",
          "xtext/plain",
          "text",
        ],
        ...[
          "application/json5",
          "text/plain, text/html",
          "text/html; text/plain",
          "*/*",
          ";text/plain",
          "application/csp-report",
        ],
      ].map((type) => [`the type ${type}`, { headers: { "content-type": type } }]),
    ),
    ...Object.fromEntries(
      ["gzip", "identity", "br", "deflate", "x", "gzip, identity"].map((encoding) => [
        `the encoding ${encoding}`,
        { headers: { "content-encoding": encoding }, body: gzipSync("{}") },
      ]),
    ),
    "a compressed body without content-encoding": { body: gzipSync(JSON.stringify({ spans: [spanOf(Date.now())] })) },
    "UTF-16": {
      headers: { "content-type": "text/plain;charset=utf-16" },
      body: Buffer.from('{"spans":[]}', "utf16le"),
    },
    "an origin of another site beside ours": { headers: { origin: [ORIGIN, "https://evil.test"] } },
    "an origin with more behind it": { headers: { origin: `${ORIGIN} https://evil.test` } },
    "a referrer in place of an origin": { headers: { origin: "", referer: `${ORIGIN}/` } },
  };
  for (const [name, sent] of Object.entries(refused)) {
    test(`${name} is refused`, async () => {
      const before = collector.requests.length;
      const [status, code] = await send(sent);
      assert.ok(status >= 400 && status < 500, `${status} ${code}`);
      assert.equal(collector.requests.length, before);
    });
  }

  test("keys, workspaces and paths in a page's request reach nobody", async () => {
    const headers = {
      authorization: "theirs",
      "comet-workspace": "theirs",
      "content-type": "TEXT/PLAIN ; charset=utf-8",
      cookie: "sid=1",
      "x-forwarded-host": "evil.test",
      "x-opik-edge": "9; theirs; theirs",
      opik_trace_id: idOf(Date.now()),
      "accept-encoding": "gzip",
    };
    const path = "/opik/v1/private/projects?workspace_name=theirs&project_name=theirs";
    assert.deepEqual(await send({ path, headers }), [200, undefined]);
    const { headers: forwarded, path: to, method } = collector.requests.at(-1)!;
    assert.deepEqual([method, to], ["POST", "/api/v1/private/spans/batch"]);
    assert.deepEqual([forwarded.authorization, forwarded["comet-workspace"]], [KEY, "ours"]);
    assert.match(String(forwarded["x-opik-edge"]), /; browser;$/);
    for (const name of ["cookie", "opik_trace_id", "x-forwarded-host", "origin"]) {
      assert.equal(forwarded[name], undefined, name);
    }
  });
});

describe("names in other spellings", () => {
  const send = async (body: string) => {
    const upstream = new Upstream();
    const answer = await relayTo(upstream)(post(body));
    return { status: answer.status, sent: upstream.requests.map((request) => JSON.parse(request.body)) };
  };
  const now = Date.now();
  const row = JSON.stringify(spanOf(now)).slice(1, -1);

  test("a project named twice is the last one, for the relay and for Opik", async () => {
    for (const [first, last, expected] of [
      ["pages", "theirs", 403],
      ["theirs", "pages", 200],
    ] as const) {
      for (const name of ["project_name", "project\\u005fname", "\\u0070roject_name"]) {
        const { status, sent } = await send(`{"spans":[{${row},"project_name":"${first}","${name}":"${last}"}]}`);
        assert.equal(status, expected, name);
        for (const { spans } of sent) assert.equal(spans[0].project_name, "pages");
      }
    }
  });

  test("a kind named twice is the last one, and unknown kinds are refused", async () => {
    const rows = `[{${row}}]`;
    assert.equal((await send(`{"spans":7,"spans":${rows}}`)).status, 200);
    for (const body of [
      ...[`{"spans":${rows},"spans":[]}`, `{"spans":${rows},"traces":${rows}}`, `{"spans":${rows},"Spans":[]}`],
      ...[`{"__proto__":{"spans":${rows}}}`, `{"spans":${rows},"__proto__":{}}`, `{"spans":${rows},"":0}`],
      ...[`{"spans":{"0":{${row}},"length":1}}`, `{"spans":[[{${row}}]]}`, `[{"spans":${rows}}]`, `{"sp\\u0061ns":{}}`],
    ]) {
      const { status, sent } = await send(body);
      assert.deepEqual([status, sent.length], [422, 0], body);
    }
  });

  test("members with names of the prototype are ordinary members", async () => {
    const input = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    const { status, sent } = await send(`{"spans":[{${row},"input":${input}}]}`);
    assert.equal(status, 200);
    assert.equal(JSON.stringify(sent[0].spans[0].input), input);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });
});

test("requests that are served at once share no byte", async () => {
  const random = seeded(17);
  const upstream = new Upstream();
  const handle = relayTo(upstream);
  const encoder = new TextEncoder();
  /** A body that arrives in pieces, between the pieces of other bodies. */
  const inPieces = (text: string): ReadableStream<Uint8Array> => {
    const bytes = encoder.encode(text);
    const step = 1 + random.below(bytes.length);
    let at = 0;
    return new ReadableStream({
      async pull(controller) {
        for (let turns = random.below(5); turns > 0; turns -= 1) await Promise.resolve();
        controller.enqueue(bytes.subarray(at, at + step));
        at += step;
        if (at >= bytes.length) controller.close();
      },
    });
  };
  let accepted = 0;
  for (let round = 0; round < (LONG ? 170 : 17); round += 1) {
    await Promise.all(
      Array.from({ length: 1000 }, async (_, n) => {
        const mark = `mark-${round}-${n}-`;
        const name = { name: `${mark}name`, input: { text: mark.repeat(1 + random.below(20)) } };
        const isGood = random.percent(30);
        const row = random.percent(50)
          ? { traces: [traceOf(Date.now(), name)] }
          : { spans: [spanOf(Date.now(), name)] };
        const text = isGood ? JSON.stringify(row) : generateBody(random).replaceAll('"x"', `"${mark}"`);
        const headers = { origin: ORIGIN, "content-type": "text/plain" };
        const init = { method: "POST", headers, body: inPieces(text), duplex: "half" } as RequestInit;
        const answer = await (await handle(new Request("http://relay.test/", init))).text();
        assert.ok(!answer.replaceAll(mark, "").includes("mark-"), answer);
        if (isGood) assert.ok(!answer.includes("code"), answer);
      }),
    );
    for (const { body } of upstream.requests.splice(0)) {
      accepted += 1;
      assert.ok(new Set(body.match(/mark-\d+-\d+-/g)).size <= 1, body);
    }
  }
  assert.ok(accepted > 4000, `${accepted} were forwarded`);
});
