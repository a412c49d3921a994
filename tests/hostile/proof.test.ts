// One page's user attacks another's trace through the same relay. With its id and a token of the same project, the attacker
// writes nothing into it, replaces no row of it, and scores nothing in it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { mintToken, relay } from "opik-edge/relay";
import { type Collector, startCollector } from "../support/collector.js";
import { pageIds, tail } from "../support/page-ids.js";

const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const ORIGIN = "https://app.test";

let collector: Collector;
let handle: (request: Request) => Promise<Response>;
before(async () => {
  collector = await startCollector();
  handle = relay({
    url: collector.url,
    projectName: "pages",
    origins: [ORIGIN],
    tokens: { secrets: [SECRET], audience: ORIGIN },
    onError: () => {},
  });
});
after(() => collector.close());

const mint = (more: object = {}): Promise<string> =>
  mintToken({ secret: SECRET, audience: ORIGIN, projectName: "pages", ...more });
const start = (): { start_time: string } => ({ start_time: new Date().toISOString() });

/** Posts `body`; gives the code of the refusal, or 200. The relay forwards no refused body. */
async function post(body: object): Promise<string | number> {
  const before = collector.requests.length;
  const headers = { origin: ORIGIN, "content-type": "text/plain" };
  const answer = await handle(
    new Request("https://relay.test/", { method: "POST", headers, body: JSON.stringify(body) }),
  );
  const { code } = (await answer.json()) as { code?: string };
  assert.equal(collector.requests.length - before, answer.ok ? 1 : 0);
  return code ?? answer.status;
}

describe("a user with a token of the project", () => {
  const victim = pageIds();
  const page = pageIds();
  const traceId = victim.id();
  const spanId = victim.id();
  const { secret } = page;
  /** Another UUIDv7 that ends like the victim's. */
  const lookAlike = `${traceId.slice(0, 15)}001${spanId.slice(18)}`;
  const score = { name: "helpful", value: 0 };
  const attacks: Record<string, () => object> = {
    "a span into the trace": () => ({ spans: [{ id: page.id(), trace_id: traceId, ...start() }] }),
    "a span among good ones": () => ({
      spans: [
        { id: page.id(), trace_id: page.id(), ...start() },
        { id: page.id(), trace_id: traceId, ...start() },
      ],
    }),
    "a span in place of the victim's": () => ({ spans: [{ id: spanId, trace_id: page.id(), ...start() }] }),
    "a span in place of the victim's, in its trace": () => ({ spans: [{ id: spanId, trace_id: traceId, ...start() }] }),
    "the trace's row": () => ({ traces: [{ id: traceId, ...start() }] }),
    "the trace's row in upper case": () => ({ traces: [{ id: traceId.toUpperCase(), ...start() }] }),
    "a score of the trace": () => ({ trace_scores: [{ id: traceId, ...score }] }),
    "a score of a span": () => ({ span_scores: [{ id: spanId, ...score }] }),
    "a trace that looks like it": () => ({ traces: [{ id: lookAlike, ...start() }] }),
  };
  for (const [name, rows] of Object.entries(attacks)) {
    test(`does not write ${name}`, async () => {
      assert.equal(await post({ token: await mint(), secret, ...rows() }), "foreign_id");
      assert.equal(await post({ token: await mint({ threadId: "t" }), secret, ...rows() }), "foreign_id");
      assert.equal(await post({ token: await mint(), ...rows() }), "foreign_id", "without a secret");
    });
  }

  test("needs the secret exactly as it was drawn", async () => {
    const rows = { traces: [{ id: traceId, ...start() }] };
    const bytes = Buffer.from(victim.secret, "base64url");
    const last = victim.secret.at(-1) as string;
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const spare = victim.secret.slice(0, -1) + alphabet[alphabet.indexOf(last) + 1];
    const token = await mint();
    for (const given of [
      ...[undefined, null, 7, "", {}, [victim.secret], bytes.toString("hex"), bytes.toString("base64"), spare],
      ...[bytes.subarray(0, 31), Buffer.concat([bytes, Buffer.from([0])])].map((more) => more.toString("base64url")),
      ...[`${victim.secret}=`, ` ${victim.secret}`, victim.secret.slice(0, -1)],
    ]) {
      assert.equal(await post({ token, secret: given, ...rows }), "foreign_id", JSON.stringify(given));
    }
    assert.equal(await post({ token, secret: victim.secret, ...rows }), 200);
  });

  test("writes into its own traces, with any counter and at any time of the token", async () => {
    const token = await mint();
    const bytes = Buffer.from(secret, "base64url");
    const time = Date.now().toString(16).padStart(12, "0");
    const ids = [0, 1, 255, 256, 4095].map(
      (counter) =>
        `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-${tail(bytes, counter)}`,
    );
    assert.equal(await post({ token, secret, traces: ids.map((id) => ({ id, ...start() })) }), 200);
    assert.equal(await post({ token, secret, trace_scores: [{ id: ids[0]!.toUpperCase(), ...score }] }), 200);
    assert.equal(await post({ token, secret, span_scores: [{ id: page.id(), ...score }] }), 200);
    const parent = { parent_span_id: spanId };
    assert.equal(
      await post({ token, secret, spans: [{ id: page.id(), trace_id: ids[0], ...parent, ...start() }] }),
      200,
    );
  });

  test("writes only into the trace that the token names", async () => {
    for (const named of [traceId, traceId.toUpperCase()]) {
      const token = await mint({ traceId: named });
      const within = { trace_id: traceId, parent_span_id: spanId, ...start() };
      assert.equal(await post({ token, secret, spans: [{ id: page.id(), ...within }] }), 200);
      assert.equal(await post({ token, trace_scores: [{ id: traceId, ...score }] }), 200, "feedback after a reload");
      assert.equal(await post({ token, secret, spans: [{ id: spanId, ...within }] }), "foreign_id");
      assert.equal(await post({ token, secret, span_scores: [{ id: traceId, ...score }] }), "foreign_id");
      assert.equal(await post({ token, trace_scores: [{ id: victim.id(), ...score }] }), "foreign_id");
      assert.equal(await post({ token, secret, traces: [{ id: page.id(), ...start() }] }), 200);
    }
  });
});

test("a relay without tokens takes rows with a secret and without", async () => {
  const open = relay({ url: collector.url, origins: [ORIGIN] });
  const page = pageIds();
  for (const secret of [undefined, page.secret]) {
    const body = JSON.stringify({ secret, traces: [{ id: page.id(), ...start() }] });
    const headers = { origin: ORIGIN, "content-type": "text/plain" };
    assert.equal((await open(new Request("https://relay.test/", { method: "POST", headers, body }))).status, 200);
  }
});
