// A server that does not believe a caller reports it once, with the remedy.

import assert from "node:assert/strict";
import { test } from "node:test";
import { getTrackContext, type OpikError } from "opik-edge";
import { mintToken, signed } from "opik-edge/relay";
import { type ServerConfig, withOpik } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";

const TRACE = "01a20612-0b81-7cc1-922c-2da813a3fcfc";
const CALLER = { opik_trace_id: TRACE, opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650" };
const SECRET = { id: "a", secret: "0123456789abcdef0123456789abcdef" };
const SITE = "https://app.test";

/** For each request `true` if it joins its caller's trace, and the reports. */
async function ask(trust: ServerConfig["trust"], ...requests: Record<string, string>[]) {
  const errors: OpikError[] = [];
  const handler = withOpik(async (_: Request) => new Response(getTrackContext()?.span.traceId), {
    transport: new InMemoryExporter(),
    url: "http://opik.test/api",
    projectName: "pages",
    background: false,
    onError: (error) => errors.push(error),
    trust,
  });
  const joined: boolean[] = [];
  for (const headers of requests) {
    joined.push((await (await handler(new Request(`${SITE}/`, { headers }))).text()) === TRACE);
  }
  return { joined, told: errors.map(({ code, message }) => `${code}: ${message}`), errors };
}

const REFUSED = "invalid_headers: trust refused a caller: send a good opik-token, or believe it in trust";

test("a caller without a token, or with an invalid token, is reported once", async () => {
  const trust = signed({ secrets: [SECRET], audience: SITE });
  const mint = (more: object) => mintToken({ secret: SECRET, audience: SITE, projectName: "pages", ...more });
  const good = { ...CALLER, "opik-token": await mint({}) };
  assert.deepEqual(await ask(trust, good), { joined: [true], told: [], errors: [] });
  for (const headers of [
    CALLER,
    { ...CALLER, "opik-token": "" },
    { ...CALLER, "opik-token": "v1.forged.token" },
    { ...CALLER, "opik-token": await mint({ projectName: "another" }) },
    { ...CALLER, "opik-token": await mint({ threadId: "t" }) },
    { ...CALLER, "opik-token": await mint({ nowMs: Date.now() - 24 * 60 * 60 * 1000 }) },
    { "opik-trace-id": TRACE },
  ] as Record<string, string>[]) {
    const { joined, told } = await ask(trust, headers, headers, good, CALLER);
    assert.deepEqual([joined, told], [[false, false, true, false], [REFUSED]]);
  }
});

test("a caller that a function or a word refuses is reported too", async () => {
  const error = new Error("no such address");
  for (const trust of [
    "never",
    () => false,
    async () => false,
    () => "yes" as never,
    () => {
      throw error;
    },
    () => Promise.reject(error),
    () => Promise.reject(true),
  ] as ServerConfig["trust"][]) {
    const { joined, told, errors } = await ask(trust, CALLER, CALLER);
    assert.deepEqual([joined, told], [[false, false], [REFUSED]], `${trust}`);
    if (`${trust}`.includes("error")) assert.equal(errors[0]!.cause, error);
  }
});

test("a caller that names no trace is not refused", async () => {
  for (const headers of [{}, { "opik-token": "v1.forged.token" }] as Record<string, string>[]) {
    assert.deepEqual((await ask("never", headers)).told, []);
  }
});
