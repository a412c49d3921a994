// A member without a name in the public API has no effect, so it is reported. The tests cover each object that the API
// takes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { corsHeaders, handlePreflight, instrumentFetch, Opik, OpikError, type Span, type Trace } from "opik-edge";
import { opikTelemetry, opikTracer } from "opik-edge/ai-sdk";
import { deliverQueue, withOpik as withWorker } from "opik-edge/cloudflare";
import { opikDoctor } from "opik-edge/doctor";
import { llm } from "opik-edge/llm";
import { mintToken, relay, signed } from "opik-edge/relay";
import { withOpik } from "opik-edge/server";
import { client, codes, errors, exporter } from "../support/recording.js";

/** The reported messages. */
function messages(): string[] {
  return errors.map(({ message }) => message);
}

/** The output of `run` to `console.warn`. */
function warned(run: () => unknown): string[] {
  const { warn } = console;
  const lines: string[] = [];
  console.warn = (line: string) => lines.push(line);
  try {
    run();
  } finally {
    console.warn = warn;
  }
  return lines;
}

const SETTINGS: [given: object, sentence: string][] = [
  [{ apiUrl: "http://localhost/" }, "apiUrl is no setting of opik-edge: did you mean url?"],
  [{ baseUrl: "http://localhost/" }, "baseUrl is no setting of opik-edge: did you mean url?"],
  [{ projctName: "p" }, "projctName is no setting of opik-edge: did you mean projectName?"],
  [{ project_name: "p" }, "project_name is no setting of opik-edge: did you mean projectName?"],
  [{ workspaceName: "w" }, "workspaceName is no setting of opik-edge: did you mean workspace?"],
  [{ APIKEY: "k" }, "APIKEY is no setting of opik-edge: did you mean apiKey?"],
  [{ trace: true }, "trace is no setting of opik-edge"],
  [{ limits: { fieldbytes: 5000 } }, "limits.fieldbytes is no setting of opik-edge: did you mean limits.fieldBytes?"],
  [{ limits: 5 }, "limits: expected an object, got number, which has no setting of opik-edge"],
  [
    { propagateTo: [{ to: "*.a.test", speling: "both" }] },
    "propagateTo.speling is no setting of opik-edge: did you mean propagateTo.spelling?",
  ],
];

test("an unknown setting is reported once, and tracing stays on", async () => {
  for (const [given, sentence] of SETTINGS) {
    errors.length = 0;
    const opik = client(given);
    opik.span({ name: "still recorded" }).end();
    opik.span({}).end();
    assert.equal((await opik.flush()).sent, 4);
    assert.deepEqual([messages(), codes()], [[sentence], ["invalid_config"]]);
  }
});

test("a server, a Worker and a queue's consumer report it once for all requests", async () => {
  const onError = (error: OpikError): number => errors.push(error);
  const given = { transport: exporter, background: false, onError, trust: "always", apiUrl: "x" } as never;
  const server = withOpik(() => new Response(), given);
  const worker = withWorker({ fetch: (_request: Request, _env: object, _ctx: object) => new Response() }, given);
  const ctx = { waitUntil() {} };
  for (const handler of [server, (request: Request) => worker.fetch(request, {}, ctx)]) {
    errors.length = 0;
    for (let n = 0; n < 3; n += 1) await handler(new Request("http://host.test/"));
    assert.deepEqual(messages(), ["apiUrl is no setting of opik-edge: did you mean url?"]);
  }
  errors.length = 0;
  const { trust: _, ...own } = given as Record<string, unknown>;
  await deliverQueue({ messages: [] }, own);
  assert.deepEqual(messages(), ["apiUrl is no setting of opik-edge: did you mean url?"]);
});

test("a misspelled setting that would restrict recording or trust is refused", () => {
  const refused: [object, string][] = [
    [{ redact: { key: ["password"] } }, "redact.key is no setting of opik-edge: did you mean redact.keys?"],
    [{ redact: "password" }, "redact: expected an object, got string, which has no setting of opik-edge"],
    [{ redcat: { keys: ["password"] } }, "redcat is no setting of opik-edge: did you mean redact?"],
    [{ recordInput: false }, "recordInput is no setting of opik-edge: did you mean recordInputs?"],
    [{ record_outputs: false }, "record_outputs is no setting of opik-edge: did you mean recordOutputs?"],
    [{ disable: true }, "disable is no setting of opik-edge: did you mean disabled?"],
    [{ trsut: "never" }, "trsut is no setting of opik-edge: did you mean trust?"],
  ];
  for (const [given, message] of refused) {
    assert.throws(
      () => new Opik({ transport: exporter, ...given }),
      (error) => error instanceof OpikError && error.code === "invalid_config" && error.message === message,
      message,
    );
  }
});

type Holder = { opik: Opik; trace: Trace; span: Span };
const FIELDS: [what: string, use: (holder: Holder) => unknown, sentence: string][] = [
  ["a span", ({ opik }) => opik.span({ modle: "m" } as never), "modle is no field of a span: did you mean model?"],
  [
    "a span under another",
    ({ span }) => span.span({ total_cost: 1 } as never),
    "total_cost is no field of a span: did you mean totalEstimatedCost?",
  ],
  [
    "a text as a span",
    ({ opik }) => opik.span("hello" as never),
    "expected an object, got string, which has no field of a span",
  ],
  [
    "a function as a span",
    ({ opik }) => opik.span((() => {}) as never),
    "expected an object, got function, which has no field of a span",
  ],
  ["update", ({ span }) => span.update({ tag: ["t"] } as never), "tag is no field of a span: did you mean tags?"],
  ["update's parent", ({ span, trace }) => span.update({ parent: trace } as never), "parent is no field of a span"],
  [
    "a trace",
    ({ opik }) => opik.trace({ threadID: "t" } as never),
    "threadID is no field of a trace: did you mean threadId?",
  ],
  ["a trace's model", ({ opik }) => opik.trace({ model: "m" } as never), "model is no field of a trace"],
  ["a trace's parent", ({ opik }) => opik.trace({ parent: null } as never), "parent is no field of a trace"],
  ["a trace's update", ({ trace }) => trace.update({ usage: {} } as never), "usage is no field of a trace"],
  [
    "track",
    ({ opik }) => opik.track(() => 1, { nmae: "n" } as never)(),
    "nmae is no field of a span: did you mean name?",
  ],
  [
    "a score",
    ({ span }) => span.score({ name: "n", value: 1, category_name: "c" } as never),
    "category_name is no field of a score: did you mean categoryName?",
  ],
];

test("an unknown field is reported once, and the rest is recorded", async () => {
  for (const [what, use, sentence] of FIELDS) {
    errors.length = 0;
    const opik = client();
    const trace = opik.trace({ name: "trace" });
    const span = trace.span({ name: "span", parent: null });
    for (let n = 0; n < 2; n += 1) use({ opik, trace, span });
    assert.deepEqual([messages(), codes()], [[sentence], ["field_dropped"]], what);
  }
});

const OPTIONS: [what: string, use: (holder: Holder) => unknown, sentence: string][] = [
  [
    "flush",
    ({ opik }) => opik.flush({ timeout: 1 } as never),
    "timeout is no option of flush: did you mean timeoutMs?",
  ],
  [
    "fetch",
    ({ span }) => span.fetch("data:,x", { opik: { nam: "n" } as never }),
    "nam is no option of fetch: did you mean name?",
  ],
  [
    "headers",
    ({ span }) => span.headers({ speling: "both" } as never),
    "speling is no option of headers: did you mean spelling?",
  ],
  [
    "inject",
    ({ span }) => span.inject({}, { speling: "both" } as never),
    "speling is no option of headers: did you mean spelling?",
  ],
  [
    "distributedHeaders",
    ({ opik, span }) => opik.distributedHeaders(span.headers(), () => {}, { flsh: true } as never),
    "flsh is no option of distributedHeaders: did you mean flush?",
  ],
];

test("an unknown option is reported once", async () => {
  for (const [what, use, sentence] of OPTIONS) {
    errors.length = 0;
    const opik = client();
    const trace = opik.trace();
    const span = trace.span();
    for (let n = 0; n < 2; n += 1) await use({ opik, trace, span });
    assert.deepEqual([messages(), codes()], [[sentence], ["invalid_config"]], what);
  }
});

test("functions without a client warn in the console, once", () => {
  const request = new Request("http://host.test/", {
    method: "OPTIONS",
    headers: { origin: "http://a.test", "access-control-request-method": "GET" },
  });
  const cors = { origins: ["http://a.test"], credential: true } as never;
  assert.deepEqual(
    warned(() => [corsHeaders(request, cors), handlePreflight(request, cors)]),
    ["[opik-edge] invalid_config: credential is no option of corsHeaders: did you mean credentials?"],
  );
  assert.deepEqual(
    warned(() => [llm({ provider: {} } as never), llm({ provider: {} } as never)]),
    ["[opik-edge] invalid_config: provider is no option of llm: did you mean providers?"],
  );
  assert.deepEqual(
    warned(() => [opikTelemetry({ parents: null } as never), opikTracer({ parents: null } as never)]),
    ["opikTelemetry", "opikTracer"].map(
      (name) => `[opik-edge] invalid_config: parents is no option of ${name}: did you mean parent?`,
    ),
  );
});

test("an unknown option of a relay, or of a token, is refused", async () => {
  const tokens = { secrets: [{ id: "a", secret: "s".repeat(32) }], audience: "http://a.test" };
  const options = { transport: exporter, origins: ["http://a.test"], tokens };
  const refused = (sentence: string) => (error: unknown) =>
    error instanceof OpikError && error.code === "invalid_config" && error.message === sentence;
  assert.throws(
    () => relay({ ...options, token: tokens } as never),
    refused("token is no setting of a relay: did you mean tokens?"),
  );
  assert.throws(
    () => relay({ ...options, lateMS: 1 } as never),
    refused("lateMS is no setting of a relay: did you mean lateMs?"),
  );
  const onError = (error: OpikError): number => errors.push(error);
  relay({ ...options, onError, redact: {}, sampleRate: 0 } as never); // a server may share its settings with the relay
  assert.deepEqual(messages(), ["redact is no setting of a relay", "sampleRate is no setting of a relay"]);
  const misspelt = { ...tokens, sesion: () => "s" };
  const sentence = "tokens.sesion is no setting of a relay: did you mean tokens.session?";
  assert.throws(() => relay({ ...options, tokens: misspelt } as never), refused(sentence));
  assert.throws(() => signed(misspelt as never), refused(sentence));
  const mint = { secret: tokens.secrets[0]!, audience: "http://a.test", projectName: "p" };
  await assert.rejects(
    mintToken({ ...mint, threadID: "t" } as never),
    refused("threadID is no option of mintToken: did you mean threadId?"),
  );
  await mintToken(mint);
  relay(options);
});

test("the doctor finds them", async () => {
  const findings = await opikDoctor({ config: { transport: exporter, projctName: "p" }, urll: "x" } as never);
  const found = findings.filter(({ level }) => level === "problem").map(({ found }) => found);
  for (const sentence of [
    "projctName is no setting of opik-edge: did you mean projectName?",
    "urll is no option of opikDoctor: did you mean url?",
  ]) {
    assert.ok(found.includes(sentence), `${sentence} in ${found}`);
  }
});

test("correct members cause no message, and naming a member does not read it", async () => {
  const opik = client({ limits: { fieldBytes: 5000 }, redact: { keys: ["k"] }, propagateTo: ["*.a.test"] });
  let reads = 0;
  const fields = {
    name: "n",
    get mine() {
      reads += 1;
      return 1;
    },
  };
  opik.span(fields as never).end();
  assert.equal(reads, 0);
  assert.deepEqual(messages(), ["mine is no field of a span"]);
  errors.length = 0;
  class Mine {
    name = "a class of the host's";
    more = 1;
  }
  opik.span(new Mine()).end();
  opik.span(undefined).end();
  opik.span(null as never).end();
  opik.score({ traceId: "", name: "n", value: 1 });
  instrumentFetch()();
  await opik.flush({ timeoutMs: 100 });
  assert.deepEqual(messages(), []);
});

test("names that a host takes from its own clients do not accumulate", async () => {
  const opik = client();
  for (let n = 0; n < 1000; n += 1)
    opik.span({ name: "a", [`${"x".repeat(1000)}${n}`.slice(-1000)]: 1, [`n${n}`]: 1 } as never).end();
  assert.equal((await opik.flush()).sent, 2000);
  assert.ok(errors.length <= 100, `${errors.length}`);
  assert.ok(messages().every((message) => message.length < 200));
});
