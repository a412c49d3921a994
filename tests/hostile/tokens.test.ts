// Attacks on tokens. A token is valid only if one of the secrets signed it, for this relay or server, and for the present
// time. Invalid tokens are not minted.

import assert from "node:assert/strict";
import { createHmac, randomInt } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { getTrackContext, type OpikError } from "opik-edge";
import { type MintOptions, mintToken, relay, signed } from "opik-edge/relay";
import { type ServerConfig, withOpik } from "opik-edge/server";
import { type Collector, startCollector } from "../support/collector.js";
import { pageIds } from "../support/page-ids.js";

const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const OTHER = { id: "b", secret: "fedcba9876543210fedcba9876543210" };
const SITE = "https://app.test";
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const PARENT = "01a20612-0bcc-794c-8aba-f81361854650";

let collector: Collector;
before(async () => {
  collector = await startCollector();
});
after(() => collector.close());

const mint = (more: object = {}): Promise<string> =>
  mintToken({ secret: SECRET, audience: SITE, projectName: "pages", ...more } as MintOptions);
const tokens = { secrets: [SECRET, OTHER], audience: SITE };

let handle: ReturnType<typeof relay> | undefined;
/** `true` if a relay accepts a row with this token. */
async function isTaken(token: unknown): Promise<boolean> {
  handle ??= relay({ url: collector.url, projectName: "pages", origins: [SITE], tokens });
  const page = pageIds();
  const traces = [{ id: page.id(), start_time: new Date().toISOString() }];
  const body = JSON.stringify({ token, secret: page.secret, traces });
  const headers = { origin: SITE, "content-type": "text/plain" };
  const answer = await handle(new Request("http://inside.test/", { method: "POST", headers, body }));
  const { code } = (await answer.json()) as { code?: string };
  assert.ok(answer.ok || code === "token_invalid", code);
  return answer.ok;
}

const errors: OpikError[] = [];
const onError = (error: OpikError): void => void errors.push(error);
const tracedBy = (config: ServerConfig): ((request: Request) => Promise<Response>) =>
  withOpik(async (_request: Request) => new Response(getTrackContext()?.span.traceId), config);
let usual: ReturnType<typeof tracedBy> | undefined;
/** `true` if a server joins the trace of a request with this token. */
async function isJoined(token: string, config?: ServerConfig, url = `${SITE}/`, more = {}): Promise<boolean> {
  const settings = { url: collector.url, projectName: "pages", trust: signed(tokens), onError };
  usual ??= tracedBy(settings);
  const headers = { opik_trace_id: TRACE, opik_parent_span_id: PARENT, "opik-token": token, ...more };
  const answering = config ? tracedBy({ ...settings, ...config }) : usual;
  const id = await (await answering(new Request(url, { headers }))).text();
  assert.match(id, /^[0-9a-f-]{36}$/);
  // Each server reports a refusal once, and nothing else.
  const refused = errors.splice(0).map(({ code, message }) => `${code}: ${message}`);
  assert.ok(refused.length <= (id === TRACE ? 0 : 1), `${refused}`);
  for (const said of refused) assert.match(said, /^invalid_headers: trust refused a caller: /);
  return id === TRACE;
}

/** A token made by anybody who knows `secret`. */
function forge(payload: unknown, secret = SECRET.secret, version = "v1"): string {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  const signed = `${version}.${Buffer.from(text).toString("base64url")}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
const payload = (more: object = {}): object => {
  const nowMs = Date.now();
  return { kid: "a", aud: SITE, prj: "pages", nbf: nowMs - 60_000, exp: nowMs + 60_000, ...more };
};

/** Every way in which a token can be wrong, by name. */
async function wrongTokens(): Promise<[name: string, token: string][]> {
  const good = await mint();
  const [version, body, mac] = good.split(".") as [string, string, string];
  const wrong: [string, string][] = [];
  for (let length = 0; length < good.length; length += 1) wrong.push([`cut to ${length}`, good.slice(0, length)]);
  for (let at = 0; at < good.length; at += 1) {
    const char = good[at] as string;
    const bit = 1 << randomInt(6);
    const flipped = char === "." ? "A" : ALPHABET[(ALPHABET.indexOf(char) ^ bit) & 63];
    wrong.push([`bit ${bit} of character ${at}`, good.slice(0, at) + flipped + good.slice(at + 1)]);
  }
  const last = ALPHABET.indexOf(mac.at(-1) as string);
  for (const spare of [1, 2, 3]) wrong.push([`spare bits ${spare}`, good.slice(0, -1) + ALPHABET[last ^ spare]]);
  for (const [name, token] of Object.entries({
    "the token twice": `${good}, ${good}`,
    "the token twice, joined": `${good}.${good}`,
    padded: `${good}=`,
    "in base64": `${version}.${body}.${mac.replaceAll("-", "+").replaceAll("_", "/")}==`,
    "another version": forge(payload(), SECRET.secret, "v2"),
    "no version": forge(payload(), SECRET.secret, ""),
    "an empty secret": forge(payload(), ""),
    "another secret under this id": forge(payload(), OTHER.secret),
    "this secret under another id": forge(payload({ kid: "b" })),
    "an id that is not there": forge(payload({ kid: "c" })),
    "an id of the prototype": forge(payload({ kid: "__proto__" })),
    "an id that is a list": forge(payload({ kid: ["a"] })),
    "no id": forge(payload({ kid: undefined })),
    "the payload of another": `${version}.${forge(payload({ prj: "other" })).split(".")[1]}.${mac}`,
    "a null": forge(null),
    "a list": forge([payload()]),
    "no JSON": forge("{"),
    "an end that is text": forge(payload({ exp: `${Date.now()}900000` })),
    "no end": forge(payload({ exp: undefined })),
    "an end of null": forge(payload({ exp: null })),
    "a beginning that is text": forge(payload({ nbf: "0" })),
    "another audience": await mint({ audience: "https://other.test" }),
    "another port": await mint({ audience: `${SITE}:8443` }),
    "another scheme": await mint({ audience: "http://app.test" }),
    "the host of the request": await mint({ audience: "http://inside.test" }),
    "another project": await mint({ projectName: "Pages" }),
    "a session": await mint({ session: "s" }),
    "a JWT without a signature": `${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.`,
  })) {
    wrong.push([name, token]);
  }
  return wrong;
}

test("base64url has one spelling", async () => {
  const good = await mint({ session: "s" });
  const [version, body, mac] = good.split(".") as [string, string, string];
  for (let more = 0; more < 4; more += 1) {
    const text = Buffer.from(JSON.stringify(payload({ pad: "x".repeat(more) })));
    const signed = `v1.${text.toString("base64url")}`;
    const sign = (of: string): string => createHmac("sha256", SECRET.secret).update(of).digest("base64url");
    assert.ok(await isTaken(`${signed}.${sign(signed)}`), `${signed.length}`);
    // The same bytes, signed in another spelling.
    const last = ALPHABET.indexOf(signed.at(-1) as string);
    const spare = text.length % 3 === 0 ? [] : text.length % 3 === 1 ? [1, 2, 4, 8, 15] : [1, 2, 3];
    const others = [`${signed}=`, `${signed} `, ...spare.map((bits) => signed.slice(0, -1) + ALPHABET[last ^ bits])];
    for (const other of others) assert.equal(await isTaken(`${other}.${sign(other)}`), false, other.slice(-4));
  }
  assert.equal(await isTaken(`${version}.${body}A.${mac}`), false);
});

test("a wrong token is refused by the relay, and joins no trace", async () => {
  assert.ok(await isTaken(await mint()));
  assert.ok(await isJoined(await mint()));
  assert.ok(await isTaken(forge(payload())), "forge makes a valid token from a known secret");
  for (const [name, token] of await wrongTokens()) {
    assert.equal(await isTaken(token), false, `the relay: ${name}`);
    assert.equal(await isJoined(token), false, `a server: ${name}`);
  }
  for (const token of [7, {}, [], true, [await mint()], { toString: () => "x" }, "x".repeat(100_000)]) {
    assert.equal(await isTaken(token), false, JSON.stringify(token).slice(0, 50));
  }
});

describe("a server joins a trace only if the token matches", () => {
  const thread = ({ url }: Request): string | undefined => new URL(url).searchParams.get("thread") ?? undefined;
  const session = ({ headers }: Request): string | undefined => headers.get("x-session") ?? undefined;

  test("its project", async () => {
    assert.equal(await isJoined(await mint({ projectName: "another" })), false);
    const config = { projectName: "another" };
    assert.equal(await isJoined(await mint({ projectName: "another" }), config), true);
  });

  test("its conversation, if the token names a conversation", async () => {
    const token = await mint({ threadId: "t1" });
    const knows = { trust: signed({ ...tokens, thread }) };
    assert.equal(await isJoined(token), false, "the server does not know the conversation");
    assert.equal(await isJoined(token, knows), false);
    assert.equal(await isJoined(token, knows, `${SITE}/?thread=t2`), false);
    assert.equal(await isJoined(token, knows, `${SITE}/?thread=t1`), true);
    assert.equal(await isJoined(await mint(), knows, `${SITE}/?thread=t1`), true);
  });

  test("its session, if the token names a session", async () => {
    const token = await mint({ session: "s1" });
    const knows = { trust: signed({ ...tokens, session }) };
    assert.equal(await isJoined(token), false);
    assert.equal(await isJoined(token, knows, undefined, { "x-session": "s2" }), false);
    assert.equal(await isJoined(token, knows, undefined, { "x-session": "s1" }), true);
  });

  test("its trace, if the token names a trace", async () => {
    assert.equal(await isJoined(await mint({ traceId: PARENT })), false);
    const token = await mint({ traceId: TRACE.toUpperCase() });
    assert.equal(await isJoined(token), true);
    assert.equal(
      await isJoined(token, undefined, undefined, { "opik-trace-id": TRACE, "opik-parent-span-id": PARENT }),
      true,
    );
    const both = { "opik-trace-id": PARENT, "opik-parent-span-id": TRACE };
    assert.equal(await isJoined(token, undefined, undefined, both), false, "the other spelling names another");
  });

  test("its origin, whatever host the request names", async () => {
    const elsewhere = await mint({ audience: "https://evil.test" });
    assert.equal(await isJoined(elsewhere, undefined, "https://evil.test/"), false);
    assert.equal(await isJoined(elsewhere, undefined, "https://evil.test/", { host: "evil.test" }), false);
    assert.equal(await isJoined(await mint(), undefined, "https://evil.test/"), true, "behind another name");
  });

  test("the current time", async () => {
    const hour = 60 * 60 * 1000;
    assert.equal(await isJoined(await mint({ nowMs: Date.now() - hour })), false);
    assert.equal(await isJoined(await mint({ nowMs: Date.now() + hour })), false);
  });

  test("and it fails closed if a function of its settings fails", async () => {
    const failing = (): never => {
      throw new Error("no");
    };
    assert.equal(
      await isJoined(await mint({ threadId: "t" }), { trust: signed({ ...tokens, thread: failing }) }),
      false,
    );
    assert.equal(
      await isJoined(await mint({ session: "s" }), { trust: signed({ ...tokens, session: failing }) }),
      false,
    );
    for (const trust of [failing, () => Promise.reject(new Error("no")), () => "yes" as never, () => 1 as never]) {
      assert.equal(await isJoined("", { trust }), false);
    }
  });

  test("under a flood of headers too", async () => {
    const flood = Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`x-${n}`, "v".repeat(20)]));
    assert.equal(await isJoined(await mint(), undefined, undefined, flood), true);
    assert.equal(await isJoined("v1.".repeat(10_000), undefined, undefined, flood), false);
  });
});

describe("a wrong argument is reported at once", () => {
  const rejected = (options: object, field: RegExp): Promise<void> =>
    assert.rejects(mint(options), (error: OpikError) => error.code === "invalid_config" && field.test(error.message));

  test("a lifetime is a number of ms, up to a day", async () => {
    const day = 24 * 60 * 60 * 1000;
    const wrong = ["900000", "", 0, -1, Number.NaN, Number.POSITIVE_INFINITY, day + 1, null, true, 900_000n, [900_000]];
    for (const lifetimeMs of [...wrong, { valueOf: () => 900_000 }, new Date()]) {
      await rejected({ lifetimeMs }, /^lifetimeMs: expected a number from 1 to 86400000/);
    }
    for (const lifetimeMs of [1, 1000.5, day, undefined]) assert.ok(await isTaken(await mint({ lifetimeMs })));
  });

  test("a time is one of this century", async () => {
    for (const nowMs of ["1795868650671", 0, -1, Number.NaN, 1.795e9, 1e300, null, new Date()]) {
      await rejected({ nowMs }, /^nowMs: expected a number/);
    }
  });

  test("names are texts, and ids are ids", async () => {
    for (const text of [7, null, "", {}, ["s"]]) {
      await rejected({ session: text }, /^session:/);
      await rejected({ threadId: text }, /^threadId:/);
      if (text !== "") await rejected({ traceId: text }, /^traceId:/);
      await rejected({ projectName: text }, /^projectName:/);
    }
    assert.ok(await isTaken(await mint({ traceId: "" })), "as in a span that is not recorded");
    await rejected({ traceId: "9b2d0f2e-3a38-4a37-9b5a-6a1a1c1f0f0f" }, /^traceId: expected a UUIDv7/);
    await rejected({ projectName: undefined }, /^projectName:/);
    await rejected({ threadId: "t".repeat(3000) }, /^token: expected at most 2048 characters/);
  });

  test("an audience is a web origin", async () => {
    for (const audience of [undefined, null, "", "app.test", "capacitor://localhost", "file:///x", "data:,x", 7, {}]) {
      await rejected({ audience }, /^audience:/);
      const { secrets } = tokens;
      const wrong = { secrets, audience } as never;
      const refused = { code: "invalid_config", message: /^tokens\.audience:/ };
      assert.throws(() => relay({ url: collector.url, origins: [SITE], tokens: wrong }), refused);
      assert.throws(() => signed(wrong), refused);
    }
  });

  test("without an audience from its function of settings, a server runs untraced and reports the reason once", async (t) => {
    const warn = t.mock.method(console, "warn", () => {});
    const handler = withOpik(
      (_request: Request) => new Response(String(getTrackContext())),
      () => ({ url: collector.url, trust: signed({ secrets: [SECRET] }) }),
    );
    for (const _ of [1, 2]) assert.equal(await (await handler(new Request(SITE))).text(), "undefined");
    const told = warn.mock.calls.map(({ arguments: [text] }) => String(text));
    assert.equal(told.length, 1);
    assert.match(told[0]!, /invalid_config: tracing is off: tokens\.audience/);
  });

  test("`trust` is a known word or a function", async () => {
    for (const trust of ["signed", "sometimes", "", null, 7, {}, tokens]) {
      const errors: OpikError[] = [];
      const config = { url: collector.url, trust, onError: (error: OpikError) => errors.push(error) } as never;
      const handler = withOpik((_request: Request) => new Response(String(getTrackContext())), config);
      assert.equal(await (await handler(new Request(SITE))).text(), "undefined");
      assert.match(errors[0]!.message, /trust: expected always, never or a function/);
    }
    for (const wrong of [undefined, null, {}, "signed", { secrets: [] }]) {
      assert.throws(() => signed(wrong as never), { code: "invalid_config", message: /^tokens\.secrets: / });
    }
  });

  test("a secret is long enough, and has its own id", async () => {
    for (const secret of [
      undefined,
      null,
      {},
      { id: "a" },
      { id: 7, secret: SECRET.secret },
      { id: "a", secret: "x".repeat(31) },
    ]) {
      await rejected({ secret }, /^secret:/);
      const secrets = [SECRET, secret] as never;
      const wrong = { secrets, audience: SITE };
      assert.throws(() => relay({ url: collector.url, origins: [SITE], tokens: wrong }), { code: "invalid_config" });
      assert.throws(() => signed(wrong), { code: "invalid_config" });
    }
    const twice = { secrets: [SECRET, { ...OTHER, id: "a" }], audience: SITE };
    assert.throws(() => relay({ url: collector.url, origins: [SITE], tokens: twice }), {
      code: "invalid_config",
      message: /^tokens\.secrets: expected ids that differ/,
    });
  });

  test("no message contains a secret or a token", async () => {
    const token = await mint();
    const attempts = [
      () => mint({ session: { token } }),
      () => mint({ audience: token }),
      () => mint({ traceId: token }),
      () => mint({ secret: { id: SECRET.secret, secret: "short" } }),
      async () => relay({ url: collector.url, origins: [SITE], tokens: { secrets: [SECRET, SECRET], audience: SITE } }),
      async () => relay({ url: collector.url, origins: [SITE], tokens: { secrets: [SECRET], audience: token } }),
      async () => signed({ secrets: [SECRET, SECRET], audience: SITE }),
      async () => signed({ secrets: [SECRET], audience: token }),
    ];
    for (const attempt of attempts) {
      await assert.rejects(
        attempt,
        ({ message }: Error) => !message.includes(token) && !message.includes(SECRET.secret),
      );
    }
  });
});
