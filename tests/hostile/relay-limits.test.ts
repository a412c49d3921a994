// Hostile input to a relay: settings that are not numbers, expired tokens, addresses of one network, and bodies in any
// pieces.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { mintToken, type RelayConfig } from "opik-edge/relay";
import { type FakeClock, useFakeClock } from "opik-edge/testing";
import { pageIds } from "../support/page-ids.js";
import { NOW, ORIGIN, post, relayTo, spanOf, traceOf, Upstream } from "./relay-support.js";

let clock: FakeClock;
beforeEach(() => {
  clock = useFakeClock(NOW);
  clock.freeze();
});
afterEach(() => clock.restore());

const HOUR = 60 * 60 * 1000;

test("a setting that is not a number in its range is reported at once", () => {
  const wrong: readonly unknown[] = [
    Number.NaN,
    -1,
    1.5,
    "1mb",
    "1000",
    Number.POSITIVE_INFINITY,
    {},
    [],
    true,
    1e12,
    10n,
  ];
  for (const maxBytes of [...wrong, 0]) {
    assert.throws(() => relayTo(new Upstream(), { maxBytes: maxBytes as number }), { code: "invalid_config" });
  }
  for (const lateMs of wrong) {
    assert.throws(() => relayTo(new Upstream(), { lateMs: lateMs as number }), { code: "invalid_config" });
  }
  for (const config of [
    { maxBytes: 1, lateMs: 0 },
    { maxBytes: 16 << 20, lateMs: 24 * HOUR },
    { maxBytes: undefined },
  ]) {
    relayTo(new Upstream(), config);
  }
});

describe("a token", () => {
  const secret = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
  const MINT = { secret, audience: "http://relay.test", projectName: "pages", lifetimeMs: HOUR };
  const minted = (mintedMs: number): Promise<string> => mintToken({ ...MINT, nowMs: mintedMs });
  const page = pageIds();
  const write = async (token: string, rows: object, more: Partial<RelayConfig> = {}): Promise<unknown> => {
    const handle = relayTo(new Upstream(), { tokens: { secrets: [secret], audience: "http://relay.test" }, ...more });
    const answer = await handle(post(JSON.stringify({ token, secret: page.secret, ...rows })));
    return answer.status === 200 ? 200 : (await answer.json()).code;
  };

  test("delivers rows of its life for a day after its end, or for as long as the relay allows", async () => {
    const endedAt = (agoMs: number): Promise<string> => minted(NOW - agoMs - HOUR);
    const rows = (agoMs: number): object => ({
      spans: [{ ...spanOf(NOW - agoMs), id: page.id(NOW - agoMs), trace_id: page.id(NOW - agoMs) }],
    });
    for (const [agoMs, lateMs, expected] of [
      [23 * HOUR, undefined, 200],
      [25 * HOUR, undefined, "token_expired"],
      [30_000, 0, 200], // clocks differ
      [2 * 60_000, 0, "token_expired"],
      [HOUR, 2 * HOUR, 200],
      [3 * HOUR, 2 * HOUR, "token_expired"],
    ] as const) {
      const row = rows(Math.min(agoMs, 23.5 * HOUR));
      const got = await write(await endedAt(agoMs), row, lateMs === undefined ? {} : { lateMs });
      assert.equal(got, expected, `${agoMs} ms after its end, with ${lateMs}`);
    }
  });

  test("scores while it is alive, and no longer", async () => {
    const score = { id: page.id(NOW - 300 * 24 * HOUR), name: "helpful", value: 1 };
    for (const kind of ["trace_scores", "span_scores"]) {
      const rows = { [kind]: [score] };
      assert.equal(await write(await minted(NOW - HOUR / 2), rows), 200);
      assert.equal(await write(await minted(NOW - HOUR - 30_000), rows), 200, "clocks differ");
      assert.equal(await write(await minted(NOW - HOUR - 2 * 60_000), rows), "token_expired");
      assert.equal(await write(await minted(NOW - 20 * HOUR), rows, { lateMs: 24 * HOUR }), "token_expired");
      assert.equal(await write(await minted(NOW + 3 * HOUR), rows), "token_expired", "its time has not come");
    }
  });

  test("scores only the thread that it names", async () => {
    const scored = (thread_id: string): object => ({ thread_scores: [{ thread_id, name: "helpful", value: 1 }] });
    const ofThread = (threadId?: string) => mintToken({ ...MINT, threadId, nowMs: NOW });
    const more = { threadScores: true };
    assert.equal(await write(await ofThread("t"), scored("t"), more), 200);
    assert.equal(await write(await ofThread("t"), scored("u"), more), "outside_token");
    assert.equal(await write(await ofThread("t"), scored("T"), more), "outside_token");
    assert.equal(await write(await ofThread(), scored("t"), more), "outside_token");
    assert.equal(await write(await minted(NOW - 2 * HOUR), scored("t"), more), "token_expired");
    assert.equal(await write(await ofThread("t"), scored("t")), "invalid", "without the relay's switch");
  });
});

describe("the rate limit", () => {
  const keysOf = async (addresses: readonly string[]): Promise<string[]> => {
    const keys: string[] = [];
    const rateLimit = {
      limit: async ({ key }: { readonly key: string }) => {
        keys.push(key);
        return { success: true };
      },
    };
    const handle = relayTo(new Upstream(), { rateLimit });
    for (const address of addresses) {
      await handle(post(JSON.stringify({ traces: [traceOf(NOW)] }), address ? { "cf-connecting-ip": address } : {}));
    }
    return keys;
  };

  test("counts an IPv4 address alone, and IPv6 by its network of 64 bits", async () => {
    for (const network of [
      ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0DB8:0001:0002:0000::9", "2001:db8:1:2:a::"],
      ["2001:db8::1", "2001:db8:0:0:8::", "2001:db8::5:6:7:8", "2001:0db8:0000:0000:1:2:3:4"],
      ["::2:3:4:5:6:7:8", "0:2:3:4::", "0:2:3:4:9:9:9:9"],
      ["1::2:3:4:5:6:7", "1:0:2:3::9"],
    ]) {
      const keys = await keysOf(network);
      assert.equal(new Set(keys).size, 1, `${keys}`);
    }
    const apart = [
      ...["192.0.2.7", "192.0.2.8", "::ffff:192.0.2.7", "::ffff:192.0.2.8", "2001:db8:1:2::1", "2001:db8:1:3::1"],
      ...["2001:db8::1", "2001:db8:0:1::1", "::ffff:c000:209", "::ffff:c000:210"],
    ];
    assert.equal(new Set(await keysOf(apart)).size, apart.length);
    assert.deepEqual(await keysOf(["192.0.2.7", ""]), ["192.0.2.7", ORIGIN]);
    assert.equal((await keysOf(["nonsense", ":", "::::", "x:y:z", ":".repeat(10_000)])).length, 5);
  });
});

describe("a body", () => {
  test("in a hundred thousand pieces is read, and bytes beyond its limit are not", async () => {
    const text = JSON.stringify({ spans: [spanOf(NOW, { input: "x".repeat(100_000) })] });
    let at = 0;
    const pieces = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at === text.length) controller.close();
        else controller.enqueue(new TextEncoder().encode(text[at++]));
      },
    });
    const stream = (body: ReadableStream): Request => {
      const headers = { origin: ORIGIN, "content-type": "text/plain" };
      return new Request("http://relay.test/", { method: "POST", headers, body, duplex: "half" } as RequestInit);
    };
    assert.equal((await relayTo(new Upstream())(stream(pieces))).status, 200);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(1));
      },
    });
    assert.equal((await relayTo(new Upstream(), { maxBytes: 1000 })(stream(endless))).status, 413);
    assert.ok(pulled < 1010, `${pulled} bytes were read`);
  });

  test("with a single string that is too long for a row is refused as too large", async () => {
    for (const filler of ["x", '\\"', "\\\\", "\\u0000", "[", "é"]) {
      const body = `{"spans":[${JSON.stringify(spanOf(NOW)).slice(0, -1)},"input":"${filler.repeat(4 << 20)}"}]}`;
      const answer = await relayTo(new Upstream(), { maxBytes: 32 << 20 })(post(body));
      assert.deepEqual([answer.status, (await answer.json()).code], [413, "too_large"], filler);
    }
  });

  test("that is only the beginning of a string is refused", async () => {
    for (const filler of ["\\", '\\"', "[", "{", '"', '""', "\\u", "1", " "]) {
      const answer = await relayTo(new Upstream())(post(`"${filler.repeat((1 << 20) / filler.length - 1)}`));
      assert.ok([400, 422].includes(answer.status), `${filler}: ${answer.status}`);
    }
  });
});

test("each answer contains the relay's time, in whole ms", async () => {
  const upstream = new Upstream();
  const handle = relayTo(upstream);
  const good = (): Request => post(JSON.stringify({ spans: [spanOf(NOW)] }));
  for (const request of [
    good(),
    post("x"),
    post("{}", { origin: "https://evil.test" }),
    post("", { "content-type": "x/y" }),
  ]) {
    const { now } = await (await handle(request)).json();
    assert.equal(now, NOW);
  }
  for (const status of [500, 401, 422, 429]) {
    upstream.status = status;
    const answering = handle(good());
    await clock.advance(20_000);
    const { now } = await (await answering).json();
    assert.ok(Number.isInteger(now) && now >= NOW && now <= clock.now, `${now}`);
  }
});
