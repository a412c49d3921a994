// The viewer survives every request, and keeps no rows of foreign pages.

import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { v7 as uuid7 } from "uuid";
import { type Purpose, refusalOf } from "../../viewer/src/server/guard.js";
import { type Collector, startCollector } from "../support/collector.js";

let collector: Collector;
let port: number;
before(async () => {
  collector = await startCollector();
  port = Number(new URL(collector.url).port);
});
after(() => collector.close());

/** As no client would send it; the status line that comes back, or nothing. */
function raw(text: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => {
      answer += data;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer.split("\r\n")[0]!));
    socket.end(text);
  });
}

/** Asks with these headers, whatever fetch thinks of them. */
function ask(
  path: string,
  headers: Record<string, string> = {},
  { method = "GET", body = "" as string | Uint8Array } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (data) => {
        text += data;
      });
      response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

const row = (fields: object = {}) => ({
  id: uuid7(),
  trace_id: uuid7(),
  start_time: new Date().toISOString(),
  ...fields,
});
const post = (body: string | Uint8Array, headers: Record<string, string> = {}) =>
  ask("/api/v1/private/spans/batch", headers, { method: "POST", body });
const isAlive = async () => assert.equal((await ask("/api/is-alive/ping")).status, 200);

describe("a request that nobody expects is answered, and the next one too", () => {
  const targets = [
    "//",
    "///",
    "//evil.example/x",
    "http://",
    "/%",
    "/%00",
    "/api/%zz",
    "*",
    "/\\",
    `/${"a".repeat(9000)}`,
  ];
  for (const target of targets) {
    test(`GET ${target.slice(0, 20)}`, async () => {
      assert.match(
        await raw(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`),
        /^HTTP\/1\.1 4/,
      );
      await isAlive();
    });
  }
  for (const path of [
    "/api/viewer/traces/%",
    "/api/viewer/rows/%E0%A4%A?key=%",
    "/api/viewer/threads/%ff",
    "/api/viewer/wait?timeout=x",
  ]) {
    test(`GET ${path}`, async () => {
      assert.match(String((await ask(path)).status), /^4/);
      await isAlive();
    });
  }

  const gzip = { "content-encoding": "gzip" };
  const bodies: [string, string | Uint8Array, Record<string, string>, number][] = [
    ["that is no gzip", "{}", gzip, 400],
    ["of half a gzip", gzipSync("{}".repeat(1000)).subarray(0, 15), gzip, 400],
    ["of an unknown encoding", "{}", { "content-encoding": "br" }, 415],
    ["of 200,000 arrays", "[".repeat(200_000), {}, 400],
    ["of 200,000 objects", '{"a":'.repeat(200_000), {}, 400],
    [
      "nested deeply in a row",
      JSON.stringify({ spans: [row({ input: { a: "DEEP" } })] }).replace(
        '"DEEP"',
        `${"[".repeat(600)}${"]".repeat(600)}`,
      ),
      {},
      400,
    ],
    ["that is null", "null", {}, 422],
    ["that is a text", '"spans"', {}, 422],
    ["of a list", "[]", {}, 422],
    ["of null rows", '{"spans":[null]}', {}, 422],
    ["without one", "", {}, 400],
    ["that unpacks to more than 256 MB", gzipSync(Buffer.alloc(257 * 1024 * 1024, " ")), gzip, 413],
  ];
  for (const [what, body, headers, status] of bodies) {
    test(`a body ${what}`, async () => {
      assert.equal((await post(body, headers)).status, status);
      await isAlive();
    });
  }

  test("a body that is announced as larger than 64 MB is not waited for", async () => {
    const head = `POST /api/v1/private/spans/batch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 68000000\r\n\r\n`;
    assert.match(await raw(head), /413/);
    await isAlive();
  });

  test("a body that turns out larger than 64 MB is read no further", async () => {
    const chunk = Buffer.alloc(1024 * 1024, " ");
    const status = await new Promise<number>((resolve) => {
      const headers = { "transfer-encoding": "chunked" };
      const asked = request({ host: "127.0.0.1", port, path: "/api/v1/private/spans/batch", method: "POST", headers });
      asked.on("response", (response) => resolve(response.statusCode!));
      asked.on("error", () => {});
      for (let mb = 0; mb < 66; mb += 1) asked.write(chunk);
    });
    assert.equal(status, 413);
    await isAlive();
  });

  test("a batch of 51 MB, as the Python SDK sends at most, is kept", async () => {
    const large = row({ input: { text: "x".repeat(51 * 1024 * 1024) } });
    assert.equal((await post(JSON.stringify({ spans: [large] }))).status, 204);
    assert.ok(collector.spans().some(({ id }) => id === large.id));
    collector.store.clear();
  });

  test("a request that breaks off", async () => {
    await raw(`POST /api/v1/private/spans/batch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Length: 100\r\n\r\n{`);
    await isAlive();
  });

  test("brackets behind a string's escaped quote are not deep, brackets behind its end are", async () => {
    const deep = "[".repeat(600) + "]".repeat(600);
    for (const [text, status] of [
      [`{"spans":[],"a":"\\"${deep}"}`, 422],
      [`{"spans":[],"a":"\\\\","b":${deep}}`, 400],
      [`{"spans":[],"a":"${deep}`, 400],
    ] as const) {
      const answer = await post(text);
      assert.equal(answer.status, status, text.slice(0, 40));
      assert.equal(/nested 512/.test(answer.text), text.includes('"b"'));
    }
  });

  test("a string with brackets and quotes is not deep", async () => {
    const text = `\\"[{${'[{\\\\"'.repeat(1000)}`;
    assert.equal((await post(JSON.stringify({ spans: [row({ input: { text } })] }))).status, 204);
  });
});

describe("the guard", () => {
  const PORT = 5173;
  const own = `127.0.0.1:${PORT}`;
  const cases: [string, Purpose, Record<string, string>, boolean][] = [
    ["a server", "ingest", { host: own }, true],
    ["a server by this machine's name", "ingest", { host: `localhost:${PORT}` }, true],
    ["a server by a name below localhost", "data", { host: `viewer.localhost:${PORT}` }, true],
    ["a server by IPv6", "data", { host: `[::1]:${PORT}` }, true],
    ["a name that was rebound", "data", { host: `evil.example:${PORT}` }, false],
    ["a name of nip.io", "data", { host: `127.0.0.1.nip.io:${PORT}` }, false],
    ["localhost with a dot", "data", { host: `localhost.:${PORT}` }, false],
    ["an address as a number", "data", { host: `2130706433:${PORT}` }, false],
    ["another port's name", "data", { host: "127.0.0.1:80" }, false],
    ["a name with a user before it", "data", { host: `127.0.0.1:${PORT}@evil.example` }, false],
    ["no name", "data", {}, false],
    ["the page itself", "data", { host: own, origin: `http://${own}`, "sec-fetch-site": "same-origin" }, true],
    [
      "a page of this machine that sends",
      "ingest",
      { host: own, origin: "http://localhost:3000", "sec-fetch-site": "cross-site" },
      true,
    ],
    [
      "a page of this machine that reads",
      "data",
      { host: own, origin: "http://localhost:3000", "sec-fetch-site": "cross-site" },
      false,
    ],
    [
      "a page of this machine at another port that reads",
      "data",
      { host: own, origin: "http://127.0.0.1:3000", "sec-fetch-site": "same-site" },
      false,
    ],
    [
      "a foreign page that sends",
      "ingest",
      { host: own, origin: "https://evil.example", "sec-fetch-site": "cross-site" },
      false,
    ],
    ["a foreign page whose name is like ours", "ingest", { host: own, origin: "http://localhost.evil.example" }, false],
    ["a page without an origin", "ingest", { host: own, origin: "null", "sec-fetch-site": "cross-site" }, false],
    [
      "an image on a foreign page",
      "data",
      { host: own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
      false,
    ],
    ["an image on a foreign page, of ingestion", "ingest", { host: own, "sec-fetch-site": "cross-site" }, false],
    [
      "a link to the page",
      "page",
      { host: own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      true,
    ],
    [
      "a frame of the page",
      "page",
      { host: own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
      false,
    ],
    [
      "a link to data",
      "data",
      { host: own, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      false,
    ],
    ["a name that is allowed", "data", { host: "host.docker.internal:9999" }, true],
  ];
  for (const [who, purpose, headers, may] of cases) {
    test(`${who} ${may ? "may" : "may not"}`, () => {
      const why = refusalOf({ purpose, headers }, { port: PORT, allowHosts: ["host.docker.internal"] });
      assert.equal(why === undefined, may, why);
    });
  }

  test("a foreign page plants nothing, not even by a text of no type", async () => {
    const planted = row();
    const headers = { origin: "https://evil.example", "content-type": "text/plain", "sec-fetch-site": "cross-site" };
    const answer = await post(JSON.stringify({ spans: [planted] }), headers);
    assert.equal(answer.status, 403);
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
    assert.ok(!collector.spans().some(({ id }) => id === planted.id));
  });

  test("a page of this machine may send, and read whether that went well", async () => {
    const origin = "http://localhost:3000";
    const asked = { origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" };
    const preflight = await ask("/api/v1/private/spans/batch", asked, { method: "OPTIONS" });
    assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [204, origin]);
    const answer = await post(JSON.stringify({ spans: [row()] }), { origin });
    assert.deepEqual([answer.status, answer.headers["access-control-allow-origin"]], [204, origin]);
    const foreign = { ...asked, origin: "https://evil.example" };
    const refused = await ask("/api/v1/private/spans/batch", foreign, { method: "OPTIONS" });
    assert.equal(refused.headers["access-control-allow-origin"], undefined);
    const read = await ask("/api/viewer/traces", { origin });
    assert.deepEqual([read.status, read.headers["access-control-allow-origin"]], [403, undefined]);
  });

  test("the page may run its own script alone, and nobody may frame it", async () => {
    const { status, headers } = await ask("/");
    assert.equal(status, 200);
    const csp = String(headers["content-security-policy"]);
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
    ]) {
      assert.ok(csp.includes(rule), rule);
    }
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal((await ask("/api/viewer/traces")).headers["cache-control"], "no-store");
  });

  test("no path leads to a file", async () => {
    for (const path of [
      "/../package.json",
      "/..%2fpackage.json",
      "/page.js/../../package.json",
      "/constructor",
      "/__proto__",
    ]) {
      assert.equal((await ask(path)).status, 404, path);
    }
  });
});

test("64 pages can listen, and a closed page makes room", async () => {
  const listening: { abort(): void }[] = [];
  const listen = async () => {
    const abort = new AbortController();
    listening.push(abort);
    return (await fetch(`${collector.url}/viewer/events`, { signal: abort.signal })).status;
  };
  for (let n = 0; n < 64; n += 1) assert.equal(await listen(), 200);
  assert.equal(await listen(), 503);
  for (const abort of listening) abort.abort();
  await isAlive();
});

test("clients that never finish their headers hold up nobody, and are hung up on", async () => {
  const slow = Array.from({ length: 300 }, () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`POST /api/v1/private/spans/batch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nx-a: `);
    const closed = new Promise((resolve) => socket.on("close", resolve).resume());
    const dribble = setInterval(() => socket.write("b"), 200);
    return closed.then(() => clearInterval(dribble));
  });
  for (let n = 0; n < 10; n += 1) assert.equal((await post(JSON.stringify({ spans: [row()] }))).status, 204);
  await Promise.all(slow);
  await isAlive();
});

test("a trace of 10,000 spans in a chain is printed and listed", async () => {
  const trace_id = uuid7();
  let parent_span_id: string | undefined;
  const rows = Array.from({ length: 10_000 }, () => {
    const one = row({ trace_id, parent_span_id });
    parent_span_id = one.id;
    return one;
  });
  for (let at = 0; at < rows.length; at += 1000) {
    assert.equal((await post(JSON.stringify({ spans: rows.slice(at, at + 1000) }))).status, 204);
  }
  assert.equal((await ask(`/api/trees/${trace_id}`)).text.trimEnd().split("\n").length, 10_001);
  const { text } = await ask(`/api/viewer/traces/${trace_id}`);
  assert.equal(JSON.parse(text).spans.length, 10_000);
});
