// Limits of a caller's headers: a token ends at the server that it was sent to, and trace headers go to no host that only
// resembles a target.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { fetch as currentFetch, getTrackContext, Opik } from "opik-edge";
import { withOpik } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";
const TOKEN = "v1.of-the-page.0";
const IDS = { opik_trace_id: TRACE, opik_parent_span_id: PARENT };

let upstream: Server;
let url: string;
let seen: IncomingHttpHeaders[];
before(async () => {
  upstream = createServer((request, response) => {
    seen.push(request.headers);
    response.end("ok");
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/`;
});
after(() => upstream.close());
beforeEach(() => {
  seen = [];
});

/** Ways in which a server calls another with the headers it received. */
const idioms: Record<string, (request: Request) => Promise<unknown>> = {
  "a request made of it": (request) => currentFetch(new Request(url, request)),
  "a request made of it, to a target without headers": (request) =>
    currentFetch(new Request(url, request), { opik: { propagate: false } }),
  "its headers": ({ headers }) => currentFetch(url, { headers }),
  "a copy of them": ({ headers }) => currentFetch(url, { headers: new Headers(headers) }),
  "a record of them": ({ headers }) => currentFetch(url, { headers: Object.fromEntries(headers) }),
  "pairs of them": ({ headers }) => currentFetch(url, { headers: [...headers] }),
  "them in other letters": ({ headers }) =>
    currentFetch(url, {
      headers: [...headers].map(([name, value]) => [name.toUpperCase(), value] as [string, string]),
    }),
  "them without the ids": ({ headers }) => {
    const { opik_trace_id: _, opik_parent_span_id: __, ...rest } = Object.fromEntries(headers);
    return currentFetch(url, { headers: rest, opik: { propagate: false } });
  },
  "headers that are injected into": ({ headers }) =>
    fetch(url, { headers: getTrackContext()!.span.inject(new Headers(headers)) }),
  "a record that is injected into": ({ headers }) =>
    fetch(url, { headers: getTrackContext()!.span.inject(Object.fromEntries(headers)) }),
  "frozen headers that are injected into": ({ headers }) =>
    fetch(url, { headers: getTrackContext()!.span.inject(Object.freeze(Object.fromEntries(headers))) }),
};

describe("a page's token is not handed on with", () => {
  for (const [name, forward] of Object.entries(idioms)) {
    test(name, async () => {
      const traced = withOpik(
        async (request: Request) => {
          await forward(request);
          return new Response("done");
        },
        { transport: new InMemoryExporter(), trust: "always" },
      );
      for (const ids of [IDS, {}]) {
        const headers = { ...ids, "opik-token": TOKEN, "x-own": "1" };
        assert.equal(await (await traced(new Request("http://inside.test/", { headers }))).text(), "done");
        const sent = seen.at(-1)!;
        assert.deepEqual([sent["opik-token"], sent["x-own"]], [undefined, "1"]);
        assert.notEqual(sent["opik_parent_span_id"], PARENT);
      }
      assert.equal(seen.length, 2);
    });
  }
});

describe("trace headers go to no host that only resembles a target", () => {
  const opik = new Opik({
    url: "https://opik.test/api",
    background: false,
    transport: new InMemoryExporter(),
    propagateTo: ["https://api.example.com", "*.inner.example.com", (to) => to.pathname === "/yes"],
  });
  const isGiven = async (target: string): Promise<boolean> => {
    let headers = new Headers();
    const via = {
      fetch: async (_: unknown, init?: RequestInit) => {
        headers = new Headers(init?.headers);
        return new Response();
      },
    };
    await opik.fetch(target, { opik: { via } });
    return headers.has("opik_trace_id");
  };

  test("and to every real target", async () => {
    for (const target of [
      "https://api.example.com/x?y#z",
      "https://API.example.com:443/",
      "https://a.inner.example.com/",
      "https://a.b.INNER.example.com/",
      "https://elsewhere.test/yes",
    ]) {
      assert.equal(await isGiven(target), true, target);
    }
  });

  for (const target of [
    ...["http://api.example.com/", "https://api.example.com:8443/", "https://api.example.com.evil.test/"],
    ...[
      "https://evil.test/https://api.example.com",
      "https://evil.test/?https://api.example.com",
      "https://evil.test/#yes",
    ],
    ...["https://api.example.com@evil.test/", "https://evil.test\\@api.example.com/", "https://xapi.example.com/"],
    ...["https://inner.example.com/", "https://evilinner.example.com/", "https://a.inner.example.com.evil.test/"],
    ...["https://a.inner.example.com./", "https://opik.test/api/v1/private/spans/batch", "https://opik.test/api"],
    ...["https://opik.test/api/../api/yes", "data:text/plain,https://api.example.com", "blob:https://evil.test/1"],
  ]) {
    test(target, async () => assert.equal(await isGiven(target), false));
  }
});
