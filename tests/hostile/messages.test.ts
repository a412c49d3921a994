// Foreign text gets into messages: Opik's answers, a proxy's headers, wrong settings. None of it controls a terminal,
// reveals a secret, or keeps the doctor from its end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Opik, type OpikConfig, OpikError, type OpikErrorCode } from "opik-edge";
import { deliverQueue, withOpik } from "opik-edge/cloudflare";
import { opikDoctor } from "opik-edge/doctor";
import { relay } from "opik-edge/relay";
import { useFakeClock } from "opik-edge/testing";
import { CASES, type Random, seeded } from "./seeded.js";

/** C0, DEL, C1, characters that change the direction of a text, and line ends of other systems. */
const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, code) => 0x7f + code),
  0x061c,
  0x200e,
  0x200f,
  ...Array.from({ length: 7 }, (_, code) => 0x2028 + code),
  ...Array.from({ length: 4 }, (_, code) => 0x2066 + code),
].map((code) => String.fromCharCode(code));
const FORBIDDEN = new RegExp(
  `[${CONTROLS.map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}]`,
);

/** Sequences that move a cursor, set a title, reverse a text or begin a line, among letters. */
const PIECES = [
  ...CONTROLS,
  "\u001b[2J",
  "\u001b]0;title\u0007",
  "\u009b31m",
  "\r\n[opik-edge] all is well",
  "\u202egnp.exe",
  "é",
  "😀",
  "word",
  " ",
];
const attack = (random: Random): string =>
  Array.from({ length: 1 + random.below(12) }, () => random.of(PIECES)).join("");

/** The lines written to the console while `use` runs. */
async function logged(use: () => unknown): Promise<string[]> {
  const lines: string[] = [];
  const { warn } = console;
  console.warn = (...args: unknown[]) => lines.push(args.join(" "));
  try {
    await use();
  } finally {
    console.warn = warn;
  }
  return lines;
}

/** A server that answers with `answer`. */
class Server {
  answer: (request: IncomingMessage, response: ServerResponse) => unknown = (_, response) => response.end();
  /** Bytes that endless answers have written. */
  written = 0;
  readonly #server = createServer((request, response) => {
    request.resume();
    this.answer(request, response);
  });
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  async start(): Promise<void> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }
  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const server = new Server();
before(() => server.start());
after(() => server.close());

describe("foreign text controls no terminal", () => {
  test(`a refusal by Opik, in ${CASES} variants`, async () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const random = seeded(seed);
      const text = attack(random);
      server.answer = (_, response) => response.writeHead(400 + random.below(3)).end(text);
      const lines = await logged(async () => {
        const opik = new Opik({ url: `${server.url}/api`, background: false });
        opik.span({}).end();
        const report = await opik.flush();
        assert.ok(report.errors.length > 0, `${seed}`);
        for (const { message, stack } of report.errors) {
          assert.doesNotMatch(message, FORBIDDEN, `${seed}`);
          assert.doesNotMatch(stack!.split("\n")[0]!, FORBIDDEN, `${seed}`);
        }
      });
      assert.ok(lines.length > 0);
      for (const line of lines) assert.doesNotMatch(line, FORBIDDEN, `${seed}`);
    }
  });

  test(`errors of a transport, of getters, of callbacks and of configurations, ${CASES} times`, async () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const text = attack(seeded(seed));
      const fail = (): never => {
        throw new Error(text);
      };
      const lines = await logged(async () => {
        const opik = new Opik({
          background: false,
          transport: { fetch: fail },
          sampleRate: fail,
          redact: { replace: (value) => (value === text ? fail() : value) },
        });
        opik
          .span({
            input: {
              get value() {
                return fail();
              },
              text,
            },
          })
          .end();
        opik.score({ traceId: text, name: "n", value: 1 });
        opik.score({
          get name(): string {
            return fail();
          },
          value: 1,
        });
        opik.distributedHeaders({ opik_trace_id: text, opik_parent_span_id: text }, () => 1);
        await opik.flush({ timeoutMs: 20 });
        for (const config of [
          { url: text },
          { workspace: text },
          { environment: text.repeat(200) },
          { projectName: { toString: () => text } },
        ]) {
          try {
            new Opik({ background: false, apiKey: "k", ...config } as OpikConfig);
          } catch (error) {
            assert.ok(error instanceof OpikError);
            assert.doesNotMatch(error.message, FORBIDDEN);
          }
        }
        const handler = withOpik({ fetch: (..._: unknown[]) => new Response("") }, fail);
        await handler.fetch(new Request("https://a.test/"), {}, { waitUntil() {} });
      });
      for (const line of lines) assert.doesNotMatch(line, FORBIDDEN, `${seed}: ${JSON.stringify(line)}`);
      assert.ok(lines.length >= 3, String(lines));
    }
  });

  test("each of these characters is replaced, and no other", () => {
    for (const char of CONTROLS) assert.equal(new OpikError("unexpected", `a${char}b`).message, "a\ufffdb");
    const others = "äé漢字 😀 \u200b\u00a0\u00ad-\u2027\u2010\ufeff~";
    assert.equal(new OpikError("unexpected", others).message, others);
  });

  test("each of the doctor's findings is one line", async () => {
    server.answer = (_, response) => {
      // Node's own client and server refuse most of these characters in a header.
      response.writeHead(200, { "access-control-allow-origin": "https://a.test\u009b31m" }).end("{}");
    };
    const findings = await opikDoctor({
      config: { url: `http://127.0.0.1:9/\u202e`, workspace: "w\u001b" },
      url: `${server.url}/echo`,
      origin: "https://b.test",
    });
    assert.equal(findings.filter(({ check }) => check === "CORS").length, 1);
    for (const { found, fix } of findings) assert.doesNotMatch(found + (fix ?? ""), FORBIDDEN);
  });
});

describe("a wrong setting is named, and never shown", () => {
  const SECRET = "s3cr3t";
  const wrong = (config: object): OpikError => {
    try {
      new Opik({ background: false, ...config });
    } catch (error) {
      assert.ok(error instanceof OpikError);
      assert.equal(error.code, "invalid_config" satisfies OpikErrorCode);
      return error;
    }
    return assert.fail(JSON.stringify(config));
  };

  const URLS = [
    `http://user:${SECRET}@host:99999`,
    `http://user:${SECRET}@host`,
    `https://${SECRET}@host/api`,
    `https://user:a/${SECRET}@host:1`,
    `https://host:99999/?key=${SECRET}`,
    `https://host:99999/#${SECRET}`,
    `https://us er:${SECRET}@ho st/`,
    `//user:${SECRET}@host`,
    `ws://user:${SECRET}@host`,
    `user:${SECRET}@host`,
    SECRET,
  ];
  for (const url of URLS) {
    test(`url: ${url}`, async () => {
      const error = wrong({ url, apiKey: "k" });
      assert.match(error.message, /^url: expected /);
      assert.doesNotMatch(`${error.message}${error.stack}${JSON.stringify(error)}${String(error.cause)}`, /s3cr3t/);
      assert.doesNotMatch(wrong({ env: { OPIK_URL_OVERRIDE: url }, apiKey: "k" }).message, /s3cr3t/);
      const findings = JSON.stringify(await opikDoctor({ config: { url }, url, origin: url }));
      // The doctor shows a text without a colon or an at sign in its own words: it holds no user name and password.
      if (url.includes(":") || url.includes("@")) assert.doesNotMatch(findings, /s3cr3t/);
    });
  }

  for (const [what, value] of Object.entries({
    "an array": [SECRET],
    "an object": { toString: (): string => SECRET, key: SECRET },
    "a box": new String(SECRET),
    "a symbol": Symbol(SECRET),
    "a function": Object.assign(() => 1, { toString: (): string => SECRET }),
    "one with a line break": `${SECRET}\nx`,
    "one with another alphabet": `${SECRET}é`,
  })) {
    test(`a key that is ${what}`, () => {
      const error = wrong({ apiKey: value });
      assert.match(error.message, /^apiKey: expected /);
      assert.doesNotMatch(`${error.message}${JSON.stringify(error)}`, /s3cr3t/);
    });
  }
});

describe("plain http", () => {
  const told = async (url: string, config: OpikConfig = {}): Promise<string[]> => {
    const errors: OpikError[] = [];
    new Opik({ background: false, url, apiKey: "k", onError: (error) => errors.push(error), ...config });
    return errors.map(({ code }) => code);
  };
  for (const host of ["comet.com", "www.comet.com", "www.comet.com.", "WWW.COMET.COM", "a.b.comet.com:8080"]) {
    test(`is refused for ${host}`, () => {
      const make = (): Opik => new Opik({ background: false, url: `http://${host}/opik/api`, apiKey: "k" });
      assert.throws(make, { code: "invalid_config", message: /^url: expected https/ });
    });
  }
  test("is reported once for another machine", async () => {
    for (const host of [
      "opik.internal:5173",
      "10.0.0.1",
      "127.evil.test",
      "localhost.evil.test",
      "[2001:db8::1]",
      "evilcomet.com",
      "0.0.0.0",
    ]) {
      assert.deepEqual(await told(`http://${host}/api`), ["insecure_url"], host);
    }
    const seen: OpikError[] = [];
    const config = {
      url: "http://opik.internal/api",
      apiKey: "k",
      onError: (error: OpikError) => void seen.push(error),
      sampleRate: 0,
    };
    const handler = withOpik({ fetch: (..._: unknown[]) => new Response("") }, () => config);
    for (let n = 0; n < 3; n += 1) await handler.fetch(new Request("https://a.test/"), {}, { waitUntil() {} });
    const { sampleRate: _, ...shared } = config;
    relay({ ...shared, origins: ["https://a.test"] });
    await deliverQueue({ messages: [] }, config);
    assert.deepEqual(
      seen.map(({ code }) => code),
      ["insecure_url", "insecure_url", "insecure_url"],
      "the handler, the relay and the queue's consumer",
    );
  });
  test("is accepted for this machine, with the host's own transport, or where nothing is sent", async () => {
    for (const host of ["localhost:5173", "opik.localhost", "127.0.0.1", "127.1.2.3", "127.1", "[::1]:80"]) {
      assert.deepEqual(await told(`http://${host}/api`), [], host);
    }
    assert.deepEqual(await told("https://opik.internal/api"), []);
    assert.deepEqual(await told("http://opik.internal/api", { transport: { fetch: async () => new Response() } }), []);
    assert.deepEqual(await told("http://opik.internal/api", { disabled: true }), []);
  });
});

describe("the doctor ends", () => {
  const endless = (chunk: Uint8Array | string) => (_: IncomingMessage, response: ServerResponse) => {
    response.on("error", () => {});
    const more = (): void => {
      while (!response.destroyed) {
        server.written += chunk.length;
        if (!response.write(chunk)) {
          response.once("drain", more);
          return;
        }
      }
    };
    more();
  };

  test("with an endless answer, of which it reads only the part that it searches", async () => {
    server.written = 0;
    server.answer = endless("x".repeat(64 * 1024));
    const findings = await opikDoctor({ config: { disabled: true }, url: server.url, origin: "https://a.test" });
    assert.match(findings.find(({ check }) => check === "headers")!.found, /neither spelling/);
    // The sockets in between buffer more than the doctor reads.
    assert.ok(server.written < 32 * 1024 * 1024, `${server.written} bytes`);
  });

  test("with a small answer that is large once decompressed", async () => {
    const packed = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    server.answer = (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(packed);
    const findings = await opikDoctor({ config: { disabled: true }, url: server.url });
    assert.match(findings.find(({ check }) => check === "headers")!.found, /neither spelling/);
  });

  test("with an endless answer of Opik", async () => {
    server.answer = (request, response) => {
      response.statusCode = 401;
      endless("x".repeat(64 * 1024))(request, response);
    };
    const findings = await opikDoctor({ config: { url: `${server.url}/api`, apiKey: "k" } });
    assert.match(findings.find(({ check }) => check === "Opik")!.found, /401/);
  });

  for (const [what, answer] of Object.entries({
    "never comes": () => {},
    "comes byte by byte": (_: IncomingMessage, response: ServerResponse) => response.writeHead(200).write("x"),
  })) {
    test(`with an answer that ${what}, after ten seconds`, async () => {
      using clock = useFakeClock();
      let asked = 0;
      const askedAgain: (() => void)[] = [];
      server.answer = (request, response) => {
        if (request.method === "OPTIONS" && what !== "never comes") return response.end();
        answer(request, response);
        asked += 1;
        for (const tell of askedAgain.splice(0)) tell();
      };
      let done = false;
      const findings = opikDoctor({
        config: { disabled: true },
        url: server.url,
        origin: "https://a.test",
      }).finally(() => {
        done = true;
        for (const tell of askedAgain.splice(0)) tell();
      });
      for (let waited = 0; !done; ) {
        if (asked === waited) await new Promise<void>((resolve) => askedAgain.push(resolve));
        else {
          waited += 1;
          await clock.advance(10_000);
        }
      }
      const { found } = (await findings).find(({ check }) => check === "headers")!;
      assert.match(found, /no answer within 10000 ms/);
      assert.equal(clock.timers, 0);
    });
  }
});
