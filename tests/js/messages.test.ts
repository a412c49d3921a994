// Provokes each situation for real. Its message to the host says what happened, where, and what to do.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Opik, type OpikConfig, type OpikError, type SpanOptions, span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { opikDoctor } from "opik-edge/doctor";
import { InMemoryExporter } from "opik-edge/testing";
import { closeAll } from "../support/closing.js";
import { bundleForInstalled, type Installed, installTarball } from "../support/installed.js";
import { freePort } from "../support/ports.js";
import { PROGRAMS } from "../support/programs.js";
import { ROOT, startWorker } from "../support/worker.js";

const run = promisify(execFile);
const KEY = "a-secret-key";

/** A server on this machine, closed at the end. */
async function listen(answer: RequestListener): Promise<{ readonly url: string; close(): void }> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Told {
  readonly messages: string[];
  readonly sent: number;
  readonly kept: number;
  readonly dropped: object;
}

/** The messages of a client with these settings that flushes the rows of `use`. */
async function tell(
  config: OpikConfig,
  use = (opik: Opik): void => opik.span({ name: "one" }).end(),
  timeoutMs = 100,
): Promise<Told> {
  const messages: string[] = [];
  const onError = ({ code, message }: OpikError): number => messages.push(`${code}: ${message}`);
  const opik = new Opik({ background: false, apiKey: KEY, ...config, onError });
  use(opik);
  const { sent, kept, dropped } = await opik.flush({ timeoutMs });
  return { messages, sent, kept, dropped };
}

/** Each part is in the text, in this order. */
function assertParts(text: string, parts: readonly (string | RegExp)[]): void {
  let rest = text;
  for (const part of parts) {
    const found = typeof part === "string" ? (rest.includes(part) ? part : undefined) : part.exec(rest)?.[0];
    assert.ok(found, `${part} in ${text}`);
    rest = rest.slice(rest.indexOf(found) + found.length);
  }
  assert.ok(!text.includes(KEY), text);
}

describe("a backend that cannot be reached", () => {
  let installed: Installed;
  let folder: string;
  let port: number;
  let tls: ReturnType<typeof createTlsServer>;
  before(async () => {
    installed = await installTarball();
    await writeFile(
      join(installed.folder, "program.mjs"),
      await bundleForInstalled(installed, "tests/js/messages-program.ts"),
    );
    port = await freePort();
    folder = await mkdtemp(join(tmpdir(), "opik-edge-"));
    const key = join(folder, "key.pem");
    const cert = join(folder, "cert.pem");
    const subject = ["-nodes", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", cert, ...subject]);
    tls = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }).listen(0, "127.0.0.1");
    await once(tls, "listening");
  });
  after(async () => {
    tls?.close();
    await closeAll(installed, folder ? { remove: () => rm(folder, { recursive: true }) } : undefined);
  });

  /** Output of the program in a runtime. */
  async function inRuntime(name: string, url: string): Promise<string> {
    const [program, args] = PROGRAMS[name]!;
    const all = [...args, join(installed.folder, "program.mjs"), url];
    return (await run(program, all, { cwd: installed.folder })).stdout;
  }

  const REMEDY = "check OPIK_URL_OVERRIDE and the network";
  for (const name of Object.keys(PROGRAMS)) {
    test(`wrong port, in ${name}`, async () => {
      const url = `http://127.0.0.1:${port}/api`;
      const told = await inRuntime(name, url);
      const cause = name.startsWith("Node") ? `ECONNREFUSED 127.0.0.1:${port}` : /refused/i;
      assertParts(told, ["delivery_failed: ", "network_error: ", cause, ` at ${url}; ${REMEDY}`]);
    });
  }

  test("unknown host", async () => {
    const url = "https://opik.invalid/api";
    const told = await inRuntime("Node 24", url);
    assertParts(told, ["network_error: ", /E(NOTFOUND|AI_AGAIN)/, "opik.invalid", ` at ${url}; ${REMEDY}`]);
  });

  test("an untrusted certificate, and a server without TLS", async () => {
    const signed = `https://127.0.0.1:${(tls.address() as AddressInfo).port}/api`;
    assertParts(await inRuntime("Node 24", signed), [
      "network_error: self-signed certificate",
      "(DEPTH_ZERO_SELF_SIGNED_CERT)",
      ` at ${signed}; ${REMEDY}`,
    ]);
    const plain = await listen((_, response) => response.end());
    const url = plain.url.replace("http", "https");
    assertParts(await inRuntime("Node 24", url), ["network_error: ", /SSL|TLS|EPROTO/, ` at ${url}; `]);
    plain.close();
  });

  test("Deno without --allow-net", async () => {
    const url = "https://opik.test:5173/api"; // not the host that is allowed
    const told = await inRuntime("Deno", url);
    assertParts(told, ["network_error: ", "Requires net access to", "--allow-net", ` at ${url}; ${REMEDY}`]);
  });

  test("the first failure is reported at once, before the flush ends; losses at the end", async () => {
    const messages: string[] = [];
    let isFirst: () => void = () => {};
    const first = new Promise<void>((resolve) => {
      isFirst = resolve;
    });
    const onError = ({ message }: OpikError): void => {
      messages.push(message);
      isFirst();
    };
    const url = `http://127.0.0.1:${port}/api`;
    const pending: Promise<unknown>[] = [];
    const ctx = { waitUntil: (promise: Promise<unknown>) => pending.push(promise) };
    const worker = withOpik({ fetch: (_: Request, _env: object, _ctx: object) => new Response() }, { url, onError });
    await worker.fetch(new Request("http://host.test/"), {}, ctx);
    await first;
    assertParts(messages[0]!, ["rows wait to be sent again: network_error: ", ` at ${url}; `]);
    assert.equal(messages.length, 1);
  });

  test("in a Worker", async () => {
    const url = `http://127.0.0.1:${port}/api`;
    const worker = await startWorker("tests/js/messages-worker.ts", { bindings: { URL: url, OPIK_URL_OVERRIDE: url } });
    try {
      assertParts(await (await fetch(worker.url)).text(), [
        "delivery_failed: ",
        "network_error: ",
        ` at ${url}; ${REMEDY}`,
      ]);
    } finally {
      await worker.close();
    }
  });
});

describe("an answer that is not Opik's, or a refusal", () => {
  const JSON_TYPE = "application/json";
  const rows: [what: string, status: number, headers: Record<string, string>, parts: (string | RegExp)[]][] = [
    [
      "a page",
      200,
      { "content-type": "text/html; charset=utf-8" },
      ["not_found (HTTP 200): this is not Opik's API: got text/html from "],
    ],
    ["a page, in capitals", 201, { "content-type": "TEXT/HTML" }, ["got TEXT/HTML from "]],
    ["XHTML", 200, { "content-type": "application/xhtml+xml" }, ["got application/xhtml+xml from "]],
    ["a text", 200, { "content-type": "text/plain" }, ["got text/plain from "]],
    ["a page that says it is there already", 409, { "content-type": "text/html" }, ["got text/html from "]],
    [
      "a page of nginx",
      405,
      { "content-type": "text/html" },
      ["not_found (HTTP 405): this is not Opik's API: got text/html"],
    ],
    [
      "a redirect to a login",
      302,
      { location: "https://login.test/in?next=secret" },
      ["redirected (HTTP 302): to https://login.test/in from ", "name where it leads"],
    ],
    [
      "a wrong key",
      401,
      { "content-type": JSON_TYPE },
      ["unauthorized (HTTP 401): ", "check OPIK_API_KEY, OPIK_WORKSPACE"],
    ],
    [
      "a wrong workspace",
      403,
      { "content-type": JSON_TYPE },
      ["unauthorized (HTTP 403): ", "check OPIK_API_KEY, OPIK_WORKSPACE"],
    ],
    [
      "no such route",
      404,
      { "content-type": JSON_TYPE },
      ["not_found (HTTP 404): ", "check OPIK_URL_OVERRIDE, it ends with /api"],
    ],
  ];
  for (const [what, status, headers, parts] of rows) {
    test(`${what} (${status}): nothing is sent, and one message says why`, async () => {
      const server = await listen((_, response) => response.writeHead(status, headers).end('{"message":"no"}'));
      const { messages, sent, kept } = await tell({ url: `${server.url}/api` }, undefined, 60_000);
      server.close();
      assert.deepEqual([sent, kept, messages.length], [0, 2, 1], `${messages}`);
      assertParts(messages[0]!, ["delivery_failed: ", ...parts]);
      assert.match(messages[0]!, /; check OPIK_[^;]+$/);
      assert.ok(!messages[0]!.includes("next=secret"));
    });
  }

  const accepted: [status: number, headers: Record<string, string>][] = [
    [204, {}],
    [200, {}],
    [200, { "content-type": "application/json" }],
    [201, { "content-type": "application/problem+json; charset=utf-8", location: "/v1/private/spans/1" }],
  ];
  for (const [status, headers] of accepted) {
    test(`${status} ${headers["content-type"] ?? "without a type"} is Opik's`, async () => {
      const server = await listen((_, response) => response.writeHead(status, headers).end());
      const { messages, sent } = await tell({ url: server.url }, undefined, 60_000);
      server.close();
      assert.deepEqual([messages, sent], [[], 2]);
    });
  }

  test("the host's own transport may answer with text, but not with a page", async () => {
    for (const [type, expected] of [
      ["text/plain", 2],
      ["text/html", 0],
    ] as const) {
      const transport = { fetch: async () => new Response("ok", { headers: { "content-type": type } }) };
      assert.equal((await tell({ transport }, undefined, 60_000)).sent, expected, type);
    }
  });

  test("the doctor reports it too", async () => {
    const server = await listen((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>"));
    const find = async (url: string) => (await opikDoctor({ config: { url } })).find(({ check }) => check === "Opik")!;
    const { level, found, fix } = await find(server.url);
    server.close();
    assert.equal(level, "problem");
    assertParts(`${found} → ${fix}`, [server.url, "is not Opik's API: got text/html (200)", "ends with /api"]);
    const port = await freePort();
    assertParts((await find(`http://127.0.0.1:${port}`)).found, [`ECONNREFUSED 127.0.0.1:${port}`]);
  });
});

describe("a wrong setting", () => {
  const WRONG: [setting: string, expected: string, ...values: unknown[]][] = [
    ["apiKey", "a string", 5, true, {}, [], () => "k"],
    ["apiKey", "printable ASCII in one line", "a\nb", "a\rb", "a\u0000b", "ké", "a\tb", "😀"],
    ["workspace", "a string", 5, {}],
    ["workspace", "printable ASCII in one line", "a\nb", "é", "  "],
    ["projectName", "a string", 5, {}],
    ["projectName", "a name that is not blank", " "],
    ["url", "a string", 5, {}, new URL("http://localhost")],
    [
      "url",
      "an absolute URL with http:// or https://",
      "localhost:5173",
      "/api",
      "ftp://a.test",
      "http://user:pw@a.test",
    ],
    ["environment", "a string", 5],
    ["environment", "at most 150 characters", "x".repeat(151)],
    ["threadId", "a string or a function", 5, {}],
    ["relayUrl", "a string", 5, {}, true],
    ["token", "a string or a function", 5, {}, []],
    ["env", "an object", 5, "OPIK", true],
    ["disabled", "a boolean", "true", 1, {}],
    ["recordInputs", "a boolean", "no", 0],
    ["recordOutputs", "a boolean", "no", 0],
    ["background", "a boolean", "no", 0],
    ["sampleRate", "a number from 0 to 1", "0.5", -1, 2, Number.NaN, {}, []],
    ["maxIdAgeMs", "a whole number", "1", 1, 1.5, {}],
    ["transport", "an object with a fetch method", 5, "x", {}, { fetch: 1 }, []],
    ["signals", "some of SIGINT", "SIGINT", 5, {}, ["SIGKILL"], [5]],
    ["observe", "an array of observers", 5, "x", {}, [5], [null]],
    ["propagateTo", "", 5, {}, [5], [null]],
    ["onError", "a function", 5, "x", {}],
    ["onDrop", "a function", 5, "x", {}],
    ["limits.fieldBytes", "a whole number", { fieldBytes: "5" }, { fieldBytes: 1 }, { fieldBytes: {} }],
    ["limits.spanBytes", "a whole number", { spanBytes: null, traceBytes: 1, fieldBytes: 5000 }],
    ["redact", "an object", "password", 5, true],
    [
      "redact.keys",
      "an array of texts and regular expressions",
      { keys: "password" },
      { keys: 5 },
      { keys: {} },
      { keys: [5] },
      { keys: [null] },
    ],
    [
      "redact.patterns",
      "an array of regular expressions",
      { patterns: /x/ },
      { patterns: "x" },
      { patterns: ["x"] },
      { patterns: [5] },
    ],
    ["redact.replace", "a function", { replace: "x" }, { replace: 5 }, { replace: {} }],
  ];
  for (const [setting, expected, ...values] of WRONG) {
    test(`${setting}: expected ${expected}`, () => {
      const [member = ""] = setting.split(".", 1);
      for (const value of values) {
        const isOther = setting === "limits.spanBytes"; // its default is null
        assert.throws(
          () => new Opik({ transport: new InMemoryExporter(), [member]: value } as never),
          ({ name, code, message }: OpikError) => {
            assert.deepEqual([name, code], ["OpikError", "invalid_config"], `${message}`);
            assertParts(message, isOther ? ["limits.traceBytes"] : [`${setting}: expected ${expected}`]);
            return true;
          },
          `${setting}: ${typeof value}`,
        );
      }
    });
  }

  test("null counts as missing", () => {
    const names = new Set(WRONG.map(([setting]) => setting.split(".", 1)[0]!));
    for (const name of names) new Opik({ url: "http://localhost", apiKey: "k", [name]: null } as never);
    new Opik({ url: "http://localhost", redact: { keys: null, patterns: null, replace: null } } as never);
  });

  test("a key that is not valid in a header: nothing is sent", async () => {
    let requests = 0;
    const server = await listen((_, response) => {
      requests += 1;
      response.end();
    });
    assert.throws(() => new Opik({ url: server.url, apiKey: "a\nb" }), /^OpikError: apiKey: expected printable ASCII/);
    server.close();
    assert.equal(requests, 0);
  });
});

describe("a field that Opik would refuse, or that is cut", () => {
  const told = (options: SpanOptions, config: OpikConfig = {}): Promise<Told> =>
    tell({ transport: new InMemoryExporter(), ...config }, (opik) => opik.span({ name: "chat", ...options }).end());

  const LEFT_OUT: [options: object, ...parts: string[]][] = [
    [{ usage: { prompt_tokens: "12" } }, "usage", 'prompt_tokens":"12"'],
    [{ usage: { ok: 1, details: { cached: 1.5 } } }, "usage", 'cached":1.5'],
    [{ usage: { huge: 3e9 } }, "usage", 'huge":3000000000'],
    [{ usage: { list: [1] } }, "usage", "list"],
    [{ usage: [1] }, "usage", "[1]"],
    [{ usage: 5 }, "usage", "5"],
    [{ type: "lm" }, "type", '"lm"'],
    [{ type: 5 }, "type", "5"],
    [{ tags: "one" }, "tags", '"one"'],
    [{ tags: ["a,b", 5] }, "tags", "5"],
    [{ model: 5 }, "model", "5"],
    [{ provider: ["openai"] }, "provider", '["openai"]'],
    [{ totalEstimatedCost: -1 }, "totalEstimatedCost", "-1"],
    [{ totalEstimatedCost: "1" }, "totalEstimatedCost", '"1"'],
    [{ ttft: -1 }, "ttft", "-1"],
  ];
  for (const [options, field, got] of LEFT_OUT) {
    test(JSON.stringify(options), async () => {
      const { messages, sent } = await told(options);
      assert.deepEqual([messages.length, sent], [1, 2], `${messages}`);
      assertParts(messages[0]!, [
        "field_dropped: ",
        `${field} of span "chat" was left out`,
        "got ",
        got!,
        "field_dropped in docs/guides/messages.md",
      ]);
    });
  }

  test("each of two fields has a message, a repeated field only the first time, and possible secrets are not shown", async () => {
    const { messages } = await told({ usage: { n: `more, and ${KEY}` }, type: "lm" } as never);
    assert.deepEqual(messages.map((message) => message.split(" ")[1]).sort(), ["type", "usage"]);
    for (const message of messages) assertParts(message, ["field_dropped: "]);
  });

  test("too many tags, and a usage that is too long", async () => {
    const usage = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`tokens_${n}`, n]));
    for (const options of [{ tags: Array.from({ length: 1001 }, (_, n) => `${n}`) }, { usage }]) {
      const { messages } = await told(options);
      assertParts(messages[0]!, ["field_dropped: ", /(tags|usage) of span "chat" was left out/]);
    }
  });

  const CUT: [what: string, options: SpanOptions, limits: object, parts: string[]][] = [
    [
      "a text",
      { input: { text: "x ".repeat(3000) } },
      { fieldBytes: 4096 },
      ["input", "6011 characters", "limits.fieldBytes (4096)"],
    ],
    [
      "a field",
      { output: Array(2000).fill("x") },
      { fieldBytes: 4096 },
      ["output", "8001 characters", "limits.fieldBytes (4096)"],
    ],
    ["an error", { error: new Error("x ".repeat(9000)) }, { fieldBytes: 4096 }, ["error", "limits.fieldBytes (4096)"]],
    [
      "a row",
      { input: { all: Array(700).fill("x y z ".repeat(3)) }, metadata: { all: Array(600).fill("x y z ".repeat(3)) } },
      { fieldBytes: 16384, spanBytes: 16384 },
      ["input", "limits.spanBytes (16384)"],
    ],
    ["base64", { input: { image: "QUJD".repeat(30_000) } }, {}, ["input", "base64 is kept up to 64 KB"]],
  ];
  for (const [what, options, limits, parts] of CUT) {
    test(what, async () => {
      const { messages } = await told(options, { limits });
      assert.equal(messages.length, 1, `${messages}`);
      assertParts(messages[0]!, [
        "field_cut: ",
        parts[0]!,
        ' of span "chat" was cut',
        ...parts.slice(1),
        "record less",
      ]);
    });
  }

  test("the rows of one trace", async () => {
    const { messages } = await tell({ transport: new InMemoryExporter(), limits: { traceBytes: 16384 } }, (opik) => {
      const trace = opik.trace({ name: "long" });
      for (let n = 0; n < 3; n += 1)
        trace.span({ name: "part", input: { all: Array(600).fill("x y z ".repeat(3)) } }).end();
      trace.end();
    });
    assertParts(messages[0]!, ["field_cut: input of span", "limits.traceBytes (16384)", "record less"]);
  });
});

describe("no settings", () => {
  test("in a Worker: one message, with the variables and where to set them", async () => {
    const lines: string[] = [];
    const worker = await startWorker("tests/js/messages-worker.ts", { onLog: (line) => lines.push(line) });
    try {
      for (let n = 0; n < 3; n += 1) assert.equal(await (await fetch(worker.url)).text(), "untraced");
      while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    } finally {
      await worker.close();
    }
    const ours = lines.filter((line) => line.includes("opik-edge"));
    assert.equal(ours.length, 1, `${ours}`);
    assertParts(ours[0]!, [
      "OPIK_API_KEY",
      "OPIK_URL_OVERRIDE",
      "process's environment",
      ".dev.vars",
      "wrangler secret put",
    ]);
  });

  test("for two handlers and a function without a client: one message", async () => {
    const lines: string[] = [];
    const { warn } = console;
    const before = process.env["OPIK_URL_OVERRIDE"];
    delete process.env["OPIK_URL_OVERRIDE"];
    console.warn = (line: string) => lines.push(line);
    try {
      const handlers = [1, 2].map(() =>
        withOpik({ fetch: (_: Request, _env: object, _ctx: object) => new Response() }),
      );
      for (const handler of handlers) await handler.fetch(new Request("http://host.test/"), {}, { waitUntil() {} });
      span({ name: "of no client" }, () => {});
    } finally {
      console.warn = warn;
      if (before !== undefined) process.env["OPIK_URL_OVERRIDE"] = before;
    }
    assert.equal(lines.length, 1, `${lines}`);
  });
});

describe("the guide", () => {
  test("has exactly one section for each code", async () => {
    const [source, guide] = await Promise.all(
      ["js/errors.ts", "docs/guides/messages.md"].map((file) => readFile(join(ROOT, file), "utf8")),
    );
    const [, union = ""] = /export type OpikErrorCode =(.+?";)\n/s.exec(source!)!;
    const codes = [...union.matchAll(/^ {2}\| "(\w+)"/gm)].map(([, code]) => code);
    assert.ok(codes.length > 20);
    const sections = [...guide!.matchAll(/^## `(\w+)`$/gm)].map(([, code]) => code);
    assert.deepEqual(sections.sort(), [...codes].sort());
    for (const section of guide!.split(/^## /m).slice(1)) {
      if (section.startsWith("`")) assertParts(section, ["**Remedy.**"]);
    }
  });
});
