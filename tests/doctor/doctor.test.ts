// The doctor's findings about the package's surroundings, each in good order and with a problem.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { handlePreflight } from "opik-edge";
import { type DoctorOptions, echoHeaders, type Finding, opikDoctor } from "opik-edge/doctor";
import { type Collector, startCollector } from "../support/collector.js";
import type { Faults } from "../support/faults.js";

/** Its finding about one check. */
async function look(check: string, options: DoctorOptions): Promise<Finding> {
  const finding = (await opikDoctor(options)).find((each) => each.check === check);
  assert.ok(finding, check);
  assert.equal(finding.fix === undefined, finding.level === "ok", "every finding but an ok has a fix");
  return finding;
}

test("Node has everything it needs", async () => {
  const findings = await opikDoctor({ config: { disabled: true } });
  const levels = findings.map(({ check, level }) => [check, level]);
  assert.deepEqual(levels, [
    ["core", "ok"],
    ["nesting", "ok"],
    ["flush", "ok"],
    ["clock", "ok"],
    ["streams", "ok"],
    ["Opik", "note"],
  ]);
  assert.match(findings[2]!.found, /every two seconds/);
});

describe("Opik", () => {
  /** Its finding about an Opik with this fault, and the collector with the rows it has kept. */
  async function ask(fault?: Faults): Promise<{ finding: Finding; collector: Collector }> {
    const collector = await startCollector({ ...(fault !== undefined && { fault }) });
    const config = { url: collector.url, apiKey: "secret", workspace: "team", projectName: "chat" };
    const finding = await look("Opik", { config });
    await collector.close();
    return { finding, collector };
  }

  test("accepts key and workspace, and stores nothing", async () => {
    const { finding, collector } = await ask();
    assert.equal(finding.level, "ok");
    assert.match(finding.found, /workspace team, project chat: key and workspace are accepted/);
    const [request, ...more] = collector.requests;
    assert.deepEqual([request!.headers.authorization, request!.headers["comet-workspace"]], ["secret", "team"]);
    assert.deepEqual([more.length, collector.spans().length, collector.traces().length], [0, 0, 0]);
    assert.ok(!JSON.stringify(finding).includes("secret"));
  });

  for (const [status, level, found, fix] of [
    [401, "problem", /key is refused/, /OPIK_API_KEY/],
    [402, "problem", /quota/, /dropped/],
    [403, "problem", /workspace or the origin is refused/, /OPIK_WORKSPACE/],
    [404, "problem", /no such route/, /\/api/],
    [405, "problem", /no such route/, /\/api/],
    [429, "note", /rate limit/, /wait/],
    [500, "problem", /answers 500/, /log/],
  ] as const) {
    test(`answers ${status}`, async () => {
      const { finding } = await ask({ status });
      assert.equal(finding.level, level);
      assert.match(finding.found, found);
      assert.match(finding.fix!, fix);
    });
  }

  test("redirects", async () => {
    const { finding } = await ask({ redirect: "https://elsewhere.test/" });
    assert.equal(finding.level, "problem");
    assert.match(finding.found, /redirects \(307\)/);
  });

  test("cannot be reached", async () => {
    const { url, close } = await startCollector();
    await close();
    const finding = await look("Opik", { config: { url } });
    assert.equal(finding.level, "problem");
    assert.ok(finding.found.includes(`${url} cannot be reached`), finding.found);
  });

  test("is configured wrongly", async () => {
    const finding = await look("Opik", { config: { url: "not a URL" } });
    assert.equal(finding.level, "problem");
    assert.match(finding.found, /url/);
  });
});

describe("the way to a URL", () => {
  /** The headers of a service's answer, after the proxy on the way, if any. */
  type Proxy = (headers: IncomingMessage["rawHeaders"]) => [string, string][];
  const pairs: Proxy = (raw) =>
    raw.flatMap((name, index) => (index % 2 === 0 ? [[name.toLowerCase(), raw[index + 1]!] as [string, string]] : []));
  const WAYS: Record<string, Proxy> = {
    "/echo": pairs,
    "/nginx": (raw) => pairs(raw).filter(([name]) => !name.includes("_")),
    "/strict": (raw) => pairs(raw).filter(([name]) => !/^opik-/.test(name)),
    "/gunicorn-dangerous": (raw) => {
      const joined: Record<string, string> = {};
      for (const [name, value] of pairs(raw)) {
        const key = name.replaceAll("-", "_");
        joined[key] = joined[key] === undefined ? value : `${joined[key]},${value}`;
      }
      return Object.entries(joined);
    },
    "/silent": () => [],
  };

  let server: ReturnType<typeof createServer>;
  let url: string;
  before(async () => {
    server = createServer((request: IncomingMessage, response: ServerResponse) => {
      const { pathname } = new URL(request.url!, "http://localhost");
      if (request.method === "OPTIONS") return preflight(pathname, request, response);
      const way = WAYS[pathname];
      if (way) return response.end(JSON.stringify(way(request.rawHeaders)));
      const headers = pairs(request.rawHeaders);
      echoHeaders(new Request("http://service.test/", { headers }))
        .text()
        .then((text) => response.end(text));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  const ORIGIN = "https://app.test";
  function preflight(pathname: string, request: IncomingMessage, response: ServerResponse): void {
    if (pathname === "/refuses") return void response.writeHead(405).end();
    const allowed = {
      "access-control-allow-origin": pathname === "/others" ? "https://other.test" : "*",
      "access-control-allow-headers": "opik_trace_id, opik_parent_span_id",
    };
    if (pathname !== "/ours") return void response.writeHead(204, allowed).end();
    const headers = new Headers(request.headers as Record<string, string>);
    const answer = handlePreflight(new Request(url, { method: "OPTIONS", headers }), { origins: [ORIGIN] })!;
    response.writeHead(answer.status, Object.fromEntries(answer.headers)).end();
  }

  const disabled = { disabled: true };
  const headers = (path: string) => look("headers", { config: disabled, url: `${url}${path}` });
  const cors = (path: string) => look("CORS", { config: disabled, url: `${url}${path}`, origin: ORIGIN });

  for (const [path, level, found, fix] of [
    ["/echo", "ok", /both spellings arrive/],
    ["/service-with-echoHeaders", "ok", /both spellings arrive/],
    ["/nginx", "note", /opik_trace_id is dropped/, /underscores_in_headers/],
    ["/strict", "note", /opik-trace-id is dropped/, /Opik's own SDKs/],
    ["/gunicorn-dangerous", "problem", /one header with two values/, /spelling: "underscore"/],
    ["/silent", "problem", /neither spelling is in the answer \(200\)/, /echoHeaders/],
  ] as const) {
    test(path, async () => {
      const finding = await headers(path);
      assert.equal(finding.level, level);
      assert.match(finding.found, found);
      if (fix) assert.match(finding.fix!, fix);
    });
  }

  test("nobody listens there", async () => {
    const finding = await look("headers", { config: disabled, url: "http://127.0.0.1:1/" });
    assert.deepEqual([finding.level, finding.fix], ["problem", "check the URL"]);
  });

  test("the text is not a URL", async () => {
    const finding = await look("headers", { config: disabled, url: "api.example.com" });
    assert.deepEqual([finding.level, finding.found], ["problem", "api.example.com is no URL"]);
  });

  for (const [path, level, found] of [
    ["/ours", "ok", /pages of https:\/\/app\.test may send/],
    ["/others", "problem", /not allowed \(https:\/\/other\.test\)/],
    ["/half", "problem", /not allowed: opik-trace-id, opik-parent-span-id/],
    ["/refuses", "problem", /answered with 405/],
  ] as const) {
    test(`CORS: ${path}`, async () => {
      const finding = await cors(path);
      assert.equal(finding.level, level);
      assert.match(finding.found, found);
      if (level === "problem") assert.match(finding.fix!, /handlePreflight/);
    });
  }
});
