// A relay without `origins` accepts the pages of its origin, which it knows by a header of their browser. tests/browsers/
// shows that browsers send the header.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mintToken, type RelayConfig, relay } from "opik-edge/relay";
import { post, spanOf, Upstream } from "../hostile/relay-support.js";
import { pageIds } from "../support/page-ids.js";

const body = (): string => JSON.stringify({ spans: [spanOf(Date.now())] });

/** Answer of a relay at http://relay.test to these headers. */
async function answerTo(given: Record<string, string>, config: Partial<RelayConfig> = {}) {
  const upstream = new Upstream();
  const own = { url: "http://opik.test/api", projectName: "pages", transport: upstream, onError: () => {} };
  const { status, headers, ...answer } = await relay({ ...own, ...config })(post(body(), given)).then(
    async (response) => ({
      status: response.status,
      headers: response.headers,
      ...(await response.json()),
    }),
  );
  assert.equal(upstream.requests.length, status === 200 ? 1 : 0);
  return { status, headers, code: answer.code as string | undefined, message: answer.message as string };
}

describe("a relay without origins", () => {
  test("takes rows of its origin's pages, by whatever name their browser knows it", async () => {
    for (const origin of ["http://relay.test", "https://app.example.com", "null", ""]) {
      for (const host of ["relay.test", "inside.test:8080"]) {
        const { status, headers } = await answerTo({ "sec-fetch-site": "same-origin", origin, host });
        assert.equal(status, 200, `${origin} at ${host}`);
        assert.deepEqual([...headers.keys()].sort(), ["access-control-expose-headers", "content-type", "vary"]);
        assert.equal(headers.get("vary"), "sec-fetch-site");
      }
    }
  });

  test("refuses every other page, even if its origin equals Host", async () => {
    for (const site of [
      "same-site",
      "cross-site",
      "none",
      "",
      "Same-Origin",
      "same-origin, same-origin",
      "same-origin;a",
    ]) {
      const { status, code, message, headers } = await answerTo({
        "sec-fetch-site": site,
        origin: "http://relay.test",
        host: "relay.test",
      });
      assert.deepEqual([status, code], [403, "origin_forbidden"], site);
      assert.equal(message, "only pages of this origin may write here: name others in the relay's `origins`");
      assert.deepEqual([...headers.keys()].sort(), ["content-type", "vary"]);
    }
  });

  test("refuses requests without the header, from plain http and programs, and names the setting", async () => {
    for (const given of [{ origin: "http://relay.test", host: "relay.test" }, { origin: "" }] as Record<
      string,
      string
    >[]) {
      const { status, code, message } = await answerTo(given);
      assert.deepEqual([status, code], [403, "origin_missing"]);
      assert.match(message, /^Sec-Fetch-Site is missing, .*`origins`$/);
    }
  });

  test("refuses a preflight, because pages of the same origin send no preflight", async () => {
    const handle = relay({ url: "http://opik.test/api", transport: new Upstream(), onError: () => {} });
    const headers = {
      origin: "https://a.test",
      "sec-fetch-site": "cross-site",
      "access-control-request-method": "POST",
    };
    const answer = await handle(new Request("http://relay.test/opik", { method: "OPTIONS", headers }));
    assert.deepEqual([answer.status, answer.headers.has("access-control-allow-origin")], [403, false]);
  });

  test("asks for tokens like any other", async () => {
    const secret = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
    const audience = "https://app.example.com";
    const transport = new Upstream();
    const config = {
      url: "http://opik.test/api",
      projectName: "pages",
      transport,
      tokens: { secrets: [secret], audience },
    };
    const handle = relay({ ...config, onError: () => {} });
    const page = pageIds();
    const row = { ...spanOf(Date.now()), id: page.id(), trace_id: page.id() };
    const send = async (token?: string) => {
      const text = JSON.stringify({ spans: [row], secret: page.secret, token });
      return (await handle(post(text, { "sec-fetch-site": "same-origin" }))).status;
    };
    assert.deepEqual(
      [await send(), await send(await mintToken({ secret, audience, projectName: "pages" }))],
      [401, 200],
    );
  });

  test("results from null and undefined, and from no other value", async () => {
    for (const origins of [undefined, null] as never[]) {
      assert.equal((await answerTo({ "sec-fetch-site": "same-origin" }, { origins })).status, 200);
    }
    for (const origins of ["", "https://a.test", [], {}, 0, false] as never[]) {
      assert.throws(() => relay({ url: "http://opik.test/api", origins }), {
        code: "invalid_config",
        message: /^origins: /,
      });
    }
  });
});

test("a relay with origins checks only the origin", async () => {
  const origins = ["https://app.test"];
  for (const [site, origin, expected] of [
    ["cross-site", "https://app.test", 200],
    ["same-origin", "https://app.test", 200],
    ["same-origin", "https://relay.test", 403],
  ] as const) {
    assert.equal(
      (await answerTo({ "sec-fetch-site": site, origin }, { origins })).status,
      expected,
      `${site} ${origin}`,
    );
  }
});
