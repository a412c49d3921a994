// Who may call: origins that look like those that may, those that are none, and what `Vary` is for.

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { corsHeaders, handlePreflight, Opik, type PropagateTo } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";
import { post, relayTo, spanOf, Upstream } from "./relay-support.js";

interface Case {
  readonly origins: readonly (string | ((url: URL) => boolean))[];
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

const CASES: Record<string, Case> = {
  "an exact origin": {
    origins: ["https://app.test"],
    allowed: ["https://app.test", "https://APP.test", "https://app.test:443"],
    refused: [
      ...["http://app.test", "https://app.test:8443", "https://app.test.evil.test", "https://evilapp.test"],
      ...[
        "https://app.test.",
        "https://app.test@evil.test",
        "https://sub.app.test",
        "wss://app.test",
        "app.test",
        "//app.test",
      ],
      ...["https://xn--app-.test", "capacitor://app.test", "null", "", "https://", "file://", "blob:https://app.test"],
    ],
  },
  "a scheme of an app's own": {
    origins: ["capacitor://localhost", "tauri://localhost", "chrome-extension://ours", "app://-"],
    allowed: ["capacitor://localhost", "tauri://localhost", "chrome-extension://ours", "app://-"],
    refused: [
      ...[
        "chrome-extension://other",
        "moz-extension://ours",
        "ionic://localhost",
        "http://localhost",
        "https://localhost",
      ],
      ...[
        "capacitor://localhost:80",
        "capacitor://other",
        "file://",
        "null",
        "data:text/html,x",
        "about:blank",
        "app://x",
      ],
    ],
  },
  "every host below a suffix": {
    origins: ["*.preview.test"],
    allowed: ["https://pr-7.preview.test", "https://a.b.preview.test", "https://PR.preview.test"],
    refused: [
      ...[
        "http://pr-7.preview.test",
        "http://pr-7.preview.test:8080",
        "https://preview.test",
        "https://evilpreview.test",
      ],
      ...[
        "https://pr.preview.test.evil.test",
        "capacitor://pr.preview.test",
        "ws://pr.preview.test",
        "null",
        "https://.evil",
      ],
    ],
  },
  "every host below a suffix, by http": {
    origins: ["http://*.preview.test"],
    allowed: ["http://pr-7.preview.test", "http://pr-7.preview.test:8080"],
    refused: ["https://pr-7.preview.test", "http://preview.test", "http://evilpreview.test", "null"],
  },
  "every host below a suffix, at one port": {
    origins: ["http://*.localhost:8080", "https://*.preview.test:8443"],
    allowed: ["http://a.localhost:8080", "https://a.preview.test:8443"],
    refused: ["http://a.localhost:8081", "http://a.localhost", "https://a.localhost:8080", "https://a.preview.test"],
  },
  "a function": {
    origins: [(url) => url.hostname !== "evil.test"],
    allowed: ["https://app.test", "capacitor://localhost"],
    refused: ["https://evil.test", "null", "", "x"],
  },
  "one that throws, and what names none": {
    origins: [
      () => {
        throw new Error("no");
      },
      (() => "yes") as never,
      ...["*", "", "null", "app.test", "https://"],
    ],
    allowed: [],
    refused: ["https://app.test", "https://null", "null", "*", "https://*"],
  },
};

afterEach(() => {
  delete (globalThis as { location?: unknown }).location;
});
/** As Deno and pages have it: what is no URL by itself is one of the place's. */
function beAt(href: string): void {
  Object.defineProperty(globalThis, "location", { value: new URL(href), configurable: true });
}

for (const [name, { origins, allowed, refused }] of Object.entries(CASES)) {
  describe(name, () => {
    for (const place of [undefined, "https://app.test/page", "http://pr.preview.test/"]) {
      const where = place === undefined ? "" : `, at ${place}`;
      const request = (origin: string, method = "GET"): Request =>
        new Request("https://api.test/", { method, headers: { origin, "access-control-request-method": "POST" } });

      test(`an API${where}`, () => {
        if (place) beAt(place);
        for (const origin of allowed) {
          const { vary, "access-control-allow-origin": to } = corsHeaders(request(origin), { origins });
          assert.deepEqual([vary, to], ["origin", origin], origin);
          assert.equal(handlePreflight(request(origin, "OPTIONS"), { origins })?.status, 204, origin);
        }
        for (const origin of refused) {
          assert.deepEqual(corsHeaders(request(origin), { origins, credentials: true }), { vary: "origin" }, origin);
          assert.equal(handlePreflight(request(origin, "OPTIONS"), { origins })?.status, 403, origin);
        }
      });

      test(`a relay${where}`, async () => {
        if (place) beAt(place);
        const upstream = new Upstream();
        const handle = relayTo(upstream, { origins });
        const body = (): string => JSON.stringify({ spans: [spanOf(Date.now())] });
        for (const origin of allowed) assert.equal((await handle(post(body(), { origin }))).status, 200, origin);
        assert.equal(upstream.requests.length, allowed.length);
        for (const origin of refused) {
          const answer = await handle(post(body(), { origin }));
          assert.equal(answer.status, 403, origin);
          assert.deepEqual([...answer.headers.keys()].sort(), ["content-type", "vary"], origin);
        }
        assert.equal(upstream.requests.length, allowed.length);
      });
    }
  });
}

test("trace headers go to the scheme and the host that are named", async () => {
  const given = async (propagateTo: readonly PropagateTo[], url: string): Promise<boolean> => {
    const original = globalThis.fetch;
    let headers = new Headers();
    globalThis.fetch = async (_input, init) => {
      headers = new Headers(init?.headers);
      return new Response();
    };
    try {
      const opik = new Opik({ url: "http://opik.test/api", transport: new InMemoryExporter(), propagateTo });
      await opik.fetch(url);
      await opik.flush();
    } finally {
      globalThis.fetch = original;
    }
    return headers.has("opik_trace_id");
  };
  const targets = ["capacitor://localhost", "https://api.test", "*.friend.test", "http://*.dev.test:8080"];
  for (const url of [
    ...["capacitor://localhost/x", "https://api.test/x", "https://a.friend.test/", "http://a.friend.test:1/"],
    "http://a.dev.test:8080/",
  ]) {
    assert.equal(await given(targets, url), true, url);
  }
  for (const url of [
    ...[
      "chrome-extension://other/x",
      "data:text/plain,x",
      "blob:https://api.test/x",
      "ionic://localhost/",
      "http://api.test/",
    ],
    ...["https://friend.test/", "https://evilfriend.test/", "https://a.dev.test:8080/", "http://a.dev.test/"],
  ]) {
    assert.equal(await given(targets, url), false, url);
  }
});
