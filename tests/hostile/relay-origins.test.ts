// Origins that may call, origins that resemble them, and invalid origins; and the header `Vary`.

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
  "every host below a suffix, at the port of its scheme": {
    origins: ["http://*.preview.test:80", "*.app.test:443/"],
    allowed: ["http://a.preview.test", "http://a.preview.test:80", "https://a.app.test", "https://a.app.test:443"],
    refused: ["http://a.preview.test:8080", "https://a.preview.test", "https://a.app.test:8443", "http://a.app.test"],
  },
  "another spelling than a browser's": {
    origins: [
      "HTTPS://App.test:443/",
      "https://*.PREVIEW.test",
      "https://bücher.test",
      "*.bücher.test",
      "http://[0:0::1]:80",
    ],
    allowed: [
      ...["https://app.test", "https://pr.preview.test", "https://xn--bcher-kva.test", "https://a.xn--bcher-kva.test"],
      "http://[::1]",
    ],
    refused: [
      "http://app.test",
      "http://pr.preview.test",
      "https://preview.test",
      "http://[::1]:8080",
      "https://[::1]",
    ],
  },
  "a function that throws, or returns anything but true": {
    origins: [
      () => {
        throw new Error("no");
      },
      (() => "yes") as never,
    ],
    allowed: [],
    refused: ["https://app.test", "https://null", "null", "*", "https://*"],
  },
};

afterEach(() => {
  delete (globalThis as { location?: unknown }).location;
});
/** As in Deno and pages: `URL` resolves a relative text against the location. */
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

test("trace headers go to the named scheme and host", async () => {
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
    ...["capacitor://localhost/x", "https://api.test/x", "https://a.friend.test/", "https://a.friend.test:1/"],
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
    ...[
      "http://a.friend.test/",
      "https://friend.test/",
      "https://evilfriend.test/",
      "https://a.dev.test:8080/",
      "http://a.dev.test/",
    ],
  ]) {
    assert.equal(await given(targets, url), false, url);
  }
});

const escaped = (text: string): string => text.replace(/[.*?()[\]]/g, "\\$&");

/** Texts that name no origin, and their right spelling: "" if it cannot be guessed. */
const WRONG: readonly (readonly [wrong: unknown, right: string])[] = [
  ["localhost:5199", "http://localhost:5199"],
  ["localhost", "http://localhost"],
  ["127.0.0.1:8787", "http://127.0.0.1:8787"],
  ["[::1]:8787", "http://[::1]:8787"],
  ["//localhost:5199", "http://localhost:5199"],
  ["backend:8080", "http://backend:8080"],
  ["app.test", "https://app.test"],
  ["APP.test:8443", "https://app.test:8443"],
  ["//app.test", "https://app.test"],
  ["app.test/path", "https://app.test"],
  ["bücher.test", "https://xn--bcher-kva.test"],
  ["https://app.test/path", "https://app.test"],
  ["https://app.test/?query", "https://app.test"],
  ["https://app.test#fragment", "https://app.test"],
  ["https://app.test//", "https://app.test"],
  ["https://user:password@app.test", "https://app.test"],
  ["https://*.app.test/path", "https://*.app.test"],
  ["http://*.localhost:5199/path", "http://*.localhost:5199"],
  ["capacitor://localhost/path", "capacitor://localhost"],
  [".app.test", "https://*.app.test"],
  ["*app.test", "https://*.app.test"],
  ["https://.app.test", "https://*.app.test"],
  ["*", ""],
  ["**", ""],
  ["*.", ""],
  ["*.*", ""],
  ["https://*", ""],
  ["https://*.", ""],
  ["*://app.test", ""],
  ["http*://app.test", ""],
  ["https://a.*.app.test", ""],
  ["https://app.*", ""],
  ["https://app.test:*", ""],
  ["*.127.0.0.1", ""],
  ["https://*.[::1]", ""],
  ["https://a.test,https://b.test", ""],
  ["https://a.test https://b.test", ""],
  ["https://app.test:99999", ""],
  ["https://", ""],
  ["https:", ""],
  ["", ""],
  [" ", ""],
  ["null", ""],
  ["self", ""],
  ["not an origin", ""],
  ["data:text/html,x", ""],
  ["about:blank", ""],
  ["blob:https://app.test", ""],
  [/app\.test$/, ""],
  [new URL("https://app.test"), ""],
  [true, ""],
  [7, ""],
  [null, ""],
  [undefined, ""],
];

describe("a setting that can match no origin is a mistake whose message says how to write it", () => {
  const transport = new InMemoryExporter();
  const client = (propagateTo: unknown): Opik =>
    new Opik({ url: "http://opik.test/api", transport, background: false, propagateTo: propagateTo as never });

  for (const [wrong, right] of WRONG) {
    test(`${typeof wrong === "string" ? JSON.stringify(wrong) : String(wrong)}`, () => {
      const said = (field: string) => ({
        code: "invalid_config",
        message: new RegExp(
          `^${field}: expected an origin, .* \\(write ${escaped(right || "https://a.example or () => true")}\\), got \\w+$`,
        ),
      });
      assert.throws(() => client([wrong]), said("propagateTo"));
      assert.throws(() => client(["https://a.test", { to: wrong, spelling: "both" }]), said("propagateTo"));
      assert.throws(() => relayTo(new Upstream(), { origins: ["https://a.test", wrong as string] }), said("origins"));
      // The suggested spelling is accepted, and causes no message itself.
      if (right) assert.ok(client([right]) && relayTo(new Upstream(), { origins: [right] }));
    });
  }

  test("in an API, and in a page's calls, it is reported once", (t) => {
    const { mock } = t.mock.method(console, "warn", () => {});
    for (let n = 0; n < 2; n += 1) {
      for (const origins of [["localhost:5198"], "https://a.test", undefined]) {
        const given = { origins: origins as never };
        assert.deepEqual(
          corsHeaders(new Request("http://x.test", { headers: { origin: "http://localhost:5198" } }), given),
          {
            vary: "origin",
          },
        );
      }
    }
    const told = mock.calls.map(({ arguments: [text] }) => String(text)).filter((text) => text.includes("origins:"));
    assert.deepEqual(told, [
      '[opik-edge] invalid_config: origins: expected an origin, "*.suffix" or a function (write http://localhost:5198), got string',
      "[opik-edge] invalid_config: origins: expected an array of targets, got string",
      "[opik-edge] invalid_config: origins: expected an array of targets, got undefined",
    ]);
  });

  test("a target without a spelling receives both", async () => {
    const opik = client([{ to: "https://api.test" }]);
    const seen: string[] = [];
    const via = {
      fetch: async (_: unknown, init?: RequestInit) => {
        seen.push(...new Headers(init?.headers).keys());
        return new Response();
      },
    };
    await opik.fetch("https://api.test/", { opik: { via } });
    assert.deepEqual(seen, ["opik-parent-span-id", "opik-trace-id", "opik_parent_span_id", "opik_trace_id"]);
  });
});
