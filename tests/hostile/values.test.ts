// Values built to get a secret past the rules of recording, and options that somebody else has set through
// Object.prototype. Random secrets are put into every known container, in every combination.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { flush, type OpikConfig, type Span, span, track } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { useFakeClock } from "opik-edge/testing";
import { client, codes, errors, exporter, startOver } from "../support/recording.js";
import { CASES, type Random, seeded } from "./seeded.js";

const SECRET = "sk-5ecret";
const NAMED = "pa55word";
const RULES: OpikConfig = { redact: { keys: ["password", /^x-/i], patterns: [/sk-[a-z0-9]+/] } };
const HIDDEN = /5ecret|pa55word/;

/** Containers of a text, under a harmless name. */
const HOLDERS: Record<string, (text: string) => unknown> = {
  text: (text) => `before ${text} behind`,
  boxed: (text) => new String(text),
  "of a subclass of String": (text) => new (class Text extends String {})(text),
  "boxed, with a valueOf that gives another": (text) =>
    Object.assign(new String(text), { valueOf: () => new String(text) }),
  "boxed in another realm": (text) => runInNewContext("new String(text)", { text }),
  error: (text) => new Error(text),
  "an error's cause": (text) => new Error("m", { cause: new String(text) }),
  toJSON: (text) => ({ toJSON: () => new String(text) }),
  getter: (text) => ({
    get text() {
      return text;
    },
  }),
  "a form's field": (text) => {
    const form = new FormData();
    form.append("field", text);
    return form;
  },
  "a parameter": (text) => new URLSearchParams({ q: text }),
  "a URL": (text) => new URL(`https://a.test/${text}`),
  "a request": (text) => new Request(`https://a.test/${text}`),
};
/** Containers of a value under the name of a secret. */
const NAMES: Record<string, (value: unknown) => unknown> = {
  literal: (value) => ({ password: value }),
  "without a prototype": (value) => Object.assign(Object.create(null), { password: value }),
  "in capitals": (value) => ({ PassWord: value }),
  pattern: (value) => ({ "X-Own": value }),
  map: (value) => new Map([["password", value]]),
  "a map with other keys": (value) =>
    new Map<unknown, unknown>([
      [1, 1],
      ["password", value],
    ]),
  "a map whose key is boxed": (value) => new Map([[new String("password"), value]]),
  "a map of another realm": (value) => runInNewContext("new Map([[1, 1], ['password', value]])", { value }),
  "a class": (value) =>
    new (class Holder {
      password = value;
    })(),
  toJSON: (value) => ({ toJSON: () => ({ password: value }) }),
  form: (value) => {
    const form = new FormData();
    form.append("password", String(value));
    return form;
  },
};
/** Values around a value. */
const AROUND: Record<string, (value: unknown) => unknown> = {
  array: (value) => [value],
  literal: (value) => ({ value }),
  map: (value) => new Map([["value", value]]),
  "a map with other keys": (value) =>
    new Map<unknown, unknown>([
      [null, 1],
      [{}, value],
    ]),
  "a map's key": (value) => new Map([[{ value }, 1]]),
  set: (value) => new Set([value]),
  class: (value) =>
    new (class Around {
      value = value;
    })(),
  error: (value) => new Error("m", { cause: value }),
  proxy: (value) => new Proxy({ value }, {}),
  "another realm": (value) => runInNewContext("({ value })", { value }),
};

/** A value with a secret somewhere in it, and a description of it. */
function attack(random: Random): { readonly how: string; readonly value: unknown } {
  let how: string;
  let value: unknown;
  if (random() < 0.5) {
    how = random.of(Object.keys(HOLDERS));
    value = HOLDERS[how]!(SECRET);
  } else {
    how = random.of(Object.keys(NAMES));
    value = NAMES[how]!(NAMED);
  }
  for (let depth = random.below(4); depth > 0; depth -= 1) {
    const around = random.of(Object.keys(AROUND));
    value = AROUND[around]!(value);
    how += ` in ${around}`;
  }
  return { how, value };
}

describe("the rules hide every secret", () => {
  for (const [kind, make] of Object.entries({
    "with a secret in a text": Object.entries(HOLDERS).map(([how, hold]) => [how, hold(SECRET)] as const),
    "with a secret by its name": Object.entries(NAMES).map(([how, hold]) => [how, hold(NAMED)] as const),
  })) {
    for (const [how, value] of make) {
      test(`${how}, ${kind}`, async () => {
        const opik = client(RULES);
        opik.span({ input: { value }, output: value, metadata: { value } }).end();
        await opik.flush();
        const { input, output, metadata } = exporter.spans[0]!;
        assert.match(JSON.stringify(input), /\[redacted\]/);
        assert.doesNotMatch(JSON.stringify([input, output, metadata]), HIDDEN);
      });
    }
  }

  test(`${CASES} random values`, async () => {
    for (let seed = 1; seed <= CASES; seed += 1) {
      const { how, value } = attack(seeded(seed));
      const opik = client(RULES);
      const opened = opik.span({ input: { value }, metadata: { value }, error: value });
      opened.update({ output: value, tags: [value] as never, name: value as never });
      opik.track((given: unknown) => given)(value);
      opened.end();
      const report = await opik.flush();
      assert.deepEqual(report.dropped, {}, `${seed}: ${how}`);
      const rows = JSON.stringify([exporter.traces, exporter.spans]);
      assert.doesNotMatch(rows, HIDDEN, `${seed}: ${how}`);
      exporter.clear();
    }
  });

  test("the rules hide every text of a score, and scores count by the names that they had before", async () => {
    const opik = client(RULES);
    const opened = opik.span({});
    opened.score({ name: `a ${SECRET}`, value: 1, reason: `b ${SECRET}`, categoryName: `c ${SECRET}` });
    opened.score({ name: "d sk-other", value: 2 });
    opened.end();
    await opik.flush();
    const sent = exporter.requests.flatMap(({ body }) => body.scores ?? []);
    assert.deepEqual(
      sent.map(({ name, reason, category_name, value }) => ({ name, reason, category_name, value })),
      [
        { name: "a [redacted]", reason: "b [redacted]", category_name: "c [redacted]", value: 1 },
        { name: "d [redacted]", reason: undefined, category_name: undefined, value: 2 },
      ],
    );
  });

  test("the result of `replace` is searched like the original", async () => {
    const given = [
      new String(SECRET),
      new Error(SECRET),
      new URL(`https://a.test/${SECRET}`),
      new Map([["a", SECRET]]),
    ];
    for (const value of given) {
      const opik = client({ redact: { ...RULES.redact, replace: (text) => (text === "swap" ? value : text) } });
      opik.span({ input: { value: "swap" } }).end();
      await opik.flush();
      assert.match(JSON.stringify(exporter.spans.at(-1)!["input"]), /\[redacted\]/);
      assert.doesNotMatch(JSON.stringify(exporter.requests), HIDDEN);
    }
  });

  test("a value in a map whose key is not a name keeps its place", async () => {
    const opik = client(RULES);
    opik
      .span({
        input: {
          map: new Map<unknown, unknown>([
            [1, { a: 1 }],
            ["b", 2],
            ["password", 3],
          ]),
        },
      })
      .end();
    await opik.flush();
    assert.deepEqual(exporter.spans[0]!["input"], {
      map: [
        [1, { a: 1 }],
        ["b", 2],
        ["password", "[redacted]"],
      ],
    });
  });
});

describe("long texts", () => {
  const FIELD = 64 * 1024;
  /** A pattern to look for in calls of `replace`. */
  const seen = (): { pattern: RegExp; lengths: number[] } => {
    const lengths: number[] = [];
    const pattern = /sk-[a-z0-9]+/;
    return { pattern, lengths };
  };

  test("patterns see only the part of a text that can be kept, and a margin; no half of a secret is kept", async (t) => {
    const { pattern } = seen();
    const lengths: number[] = [];
    const { replace } = String.prototype;
    t.mock.method(String.prototype, "replace", function (this: string, ...args: unknown[]) {
      if (args[0] instanceof RegExp && args[0].source === pattern.source) lengths.push(this.length);
      return Reflect.apply(replace, this, args);
    });
    // With a secret every few characters, the end of the text cuts a secret in two, and masking shortens the text.
    for (const filler of ["x", "é", "\n", "😀", "😀".repeat(40)]) {
      for (const shift of [0, 1, 2, 3, 4, 5]) {
        const text = " ".repeat(shift) + `sk-5ecret5ecret5ecret${" "}${filler} `.repeat(40_000);
        const opik = client({ redact: { patterns: [pattern] }, limits: { fieldBytes: FIELD } });
        opik.span({ input: { text } }).end();
        await opik.flush();
        const { text: kept } = exporter.spans[0]!["input"] as { text: string };
        exporter.clear();
        const [, start, size] = /^(.*)… \[opik_truncated: (\d+) bytes\]$/s.exec(kept)!;
        assert.ok(Number(size) >= text.length, size);
        assert.match(start!, /\[redacted\]/);
        assert.doesNotMatch(start!, /sk-|5ecret/);
      }
    }
    assert.ok(lengths.length > 0 && lengths.every((length) => length <= FIELD + 8192), `${Math.max(...lengths)}`);
    assert.deepEqual([...new Set(codes())], ["field_cut"]);
  });

  test("a text that is no longer than the kept part is cut by the core alone", async () => {
    const text = "y ".repeat(FIELD);
    const opik = client({ limits: { fieldBytes: FIELD } });
    opik.span({ input: { text } }).end();
    await opik.flush();
    assert.match((exporter.spans[0]!["input"] as { text: string }).text, /\[opik_truncated: 131072 bytes\]$/);
  });

  /** Reads the patterns from the security guide. The test would not end if a pattern took more than linear time. */
  test("the guide's patterns end on a megabyte of their worst input", async () => {
    const { readFile } = await import("node:fs/promises");
    const guide = await readFile(new URL("../../docs/guides/security.md", import.meta.url), "utf8");
    const list = /patterns: \[(.*)\],/.exec(guide)![1]!;
    const patterns = runInNewContext(`[${list}]`) as RegExp[];
    assert.equal(patterns.length, 2);
    const opik = client({
      redact: { patterns: patterns.map((one) => new RegExp(one)) },
      limits: { fieldBytes: 3 << 20 },
    });
    const mail = await (async () => {
      opik.span({ input: { text: "mail me.now+at@a-b.example.com, or use sk-proj-Ab_1-2" } }).end();
      await opik.flush();
      return (exporter.spans[0]!["input"] as { text: string }).text;
    })();
    assert.equal(mail, "mail [redacted], or use [redacted]");
    for (const unit of ["a", "a.", ".", "a@", "@", "sk-", "s", "-", "a-", "a+", "a\n", "é"]) {
      opik.span({ input: { text: unit.repeat(1_000_000 / unit.length) }, name: unit.repeat(100_000) }).end();
      await opik.flush();
    }
    assert.equal(exporter.spans.length, 13);
  });

  test("the rules apply to errors and URLs too", async () => {
    const opik = client();
    class Asked {
      readonly method = "GET";
      readonly headers = {};
      constructor(readonly url: string) {}
    }
    const units = [
      "/",
      "//",
      "//a",
      "//a@",
      "?",
      "#",
      "?a=",
      ":1",
      "//?",
      "data:",
      "a:",
      "a",
      "@",
      " ",
      "//a?=:1:1",
      "<",
      "%",
    ];
    for (const unit of units) {
      const text = unit.repeat(1_000_000 / unit.length);
      opik
        .span({
          input: new Asked(text),
          error: new Error(text),
          output: {
            held: new (class Held {
              text = text;
            })(),
          },
        })
        .end();
      opik
        .span({
          input: {
            named: new (class Named {
              constructor() {
                Object.assign(this, { [text]: "1" });
              }
            })(),
          },
        })
        .end();
      await opik.flush();
    }
    assert.equal(exporter.spans.length, 2 * units.length);
  });
});

describe("members that somebody has added to Object.prototype are not options", () => {
  /** Runs `use` while Object.prototype has `members`. */
  const polluted = async <T>(members: object, use: () => T): Promise<Awaited<T>> => {
    Object.assign(Object.prototype, members);
    try {
      return await use();
    } finally {
      for (const name of Object.keys(members)) Reflect.deleteProperty(Object.prototype, name);
    }
  };
  let stolen: unknown[] = [];
  const thief = { fetch: async (...args: unknown[]) => void stolen.push(args) as never };
  const EVIL: Record<string, unknown> = {
    url: "https://evil.test/api",
    apiKey: "evil-key",
    workspace: "evil",
    projectName: "evil",
    environment: "evil",
    transport: thief,
    via: thief,
    redact: { replace: () => "evil" },
    replace: () => "evil",
    patterns: [/./],
    sampleRate: 0,
    disabled: true,
    recordInputs: false,
    limits: { fieldBytes: 4096 },
    fieldBytes: 4096,
    propagateTo: [() => true],
    propagate: true,
    parent: {
      opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
      opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
    },
    opik: { via: thief, name: "evil" },
    env: { OPIK_URL_OVERRIDE: "https://evil.test/api" },
    OPIK_URL_OVERRIDE: "https://evil.test/api",
    OPIK_PROJECT_NAME: "evil",
    OPIK_API_KEY: "evil-key",
    onError: (...args: unknown[]) => stolen.push(args),
    onDrop: (...args: unknown[]) => stolen.push(args),
    trust: "never",
    name: "evil",
    type: "tool",
    model: "evil",
    provider: "evil",
    usage: { evil: 1 },
    ttft: 7,
    totalEstimatedCost: 7,
    input: "evil",
    output: "evil",
    metadata: { evil: true },
    tags: ["evil"],
    error: "evil",
    threadId: "evil",
    reason: "evil",
    categoryName: "evil",
    spanId: "01a20612-0bcc-794c-8aba-f81361854650",
    timeoutMs: 0,
    flush: true,
    spelling: "hyphen",
    background: true,
    signals: ["SIGINT"],
    relayUrl: "https://evil.test/relay",
    token: "evil",
  };

  async function use(): Promise<unknown> {
    stolen = [];
    const opik = client({ apiKey: "own-key", env: {} });
    const trace = opik.trace({ name: "own" });
    trace.span({ name: "child" }).end();
    const { spelling: _, ...headers } = { spelling: "", ...trace.span({ name: "headers" }).headers() };
    trace.end();
    opik.span({ name: "scoped" }, (opened: Span) => opened.score({ name: "s", value: 1 }));
    opik.track(function tracked() {
      return 1;
    })();
    opik.score({ traceId: trace.id, name: "t", value: 1 });
    opik.distributedHeaders({}, () => 1);
    await opik.fetch("data:text/plain,ok").then((response) => response.text());
    await opik.flush();
    const strip = (rows: readonly Record<string, unknown>[]): unknown =>
      rows.map(
        ({ id: _id, trace_id: _trace, start_time: _start, end_time: _end, last_updated_at: _updated, ...row }) => ({
          ...row,
          ...(row["parent_span_id"] ? { parent_span_id: "some" } : {}),
          ...(row["error_info"] ? { error_info: "some" } : {}),
        }),
      );
    return JSON.parse(
      JSON.stringify({
        traces: strip(exporter.traces),
        spans: strip(exporter.spans),
        scores: strip(exporter.scores),
        urls: [...new Set(exporter.requests.map(({ url }) => url))].sort(),
        keys: [...new Set(exporter.requests.map((request) => request.headers["authorization"]))],
        headers: Object.keys(headers).length,
        codes: codes(),
      }),
    );
  }

  for (const [name, value] of Object.entries(EVIL)) {
    test(name, async () => {
      const expected = await use();
      startOver();
      const got = await polluted({ [name]: value }, use);
      assert.deepEqual(got, expected);
      assert.deepEqual(stolen, []);
    });
  }

  test("a Worker, whose variables are its own, does not read them as options either", async () => {
    const made = async (): Promise<unknown> => {
      const seen: Record<string, unknown>[] = [];
      const transport = {
        fetch: async (url: string, init: { headers: unknown }) => {
          seen.push({ url, headers: JSON.stringify(init.headers) });
          return new Response(null, { status: 204 });
        },
      };
      const handler = withOpik({ fetch: (..._: unknown[]) => new Response("ok") }, () => ({
        transport,
        onError: (error) => errors.push(error),
      }));
      const pending: Promise<unknown>[] = [];
      const ctx = { waitUntil: (promise: Promise<unknown>) => void pending.push(promise) };
      const env = { OPIK_API_KEY: "own-key", OPIK_WORKSPACE: "own" };
      await (await handler.fetch(new Request("https://a.test/"), env, ctx)).text();
      await Promise.all(pending);
      return seen;
    };
    const expected = await made();
    for (const [name, value] of Object.entries(EVIL)) {
      if (["headers", "fetch"].includes(name)) continue;
      assert.deepEqual(await polluted({ [name]: value }, made), expected, name);
    }
    assert.deepEqual(codes(), []);
  });

  test("a foreign `process` or `Deno` provides no variables", async () => {
    // `Deno` on the prototype is also one of `globalThis`, where the platform has no such member.
    const { Deno } = globalThis as { Deno?: unknown };
    assert.equal(Deno, undefined);
    const evil = {
      env: { get: () => "https://evil.test/api" },
      permissions: { querySync: () => ({ state: "granted" }) },
    };
    await polluted({ Deno: evil }, async () => {
      const opik = client({ apiKey: "own-key" });
      opik.span({}).end();
      await opik.flush();
    });
    assert.match(exporter.requests[0]!.url, /^https:\/\/www\.comet\.com\//);
  });
  void [flush, span, track];
});

describe("numbers", () => {
  const WRONG = [Number.NaN, Infinity, -Infinity, -1, "1", "900000", null as never, {}, [], true, 1n, 1e300];
  const SETTINGS: Record<string, (value: unknown) => OpikConfig> = {
    sampleRate: (value) => ({ sampleRate: value as number }),
    "limits.fieldBytes": (value) => ({ limits: { fieldBytes: value as number } }),
    "limits.spanBytes": (value) => ({ limits: { spanBytes: value as number } }),
    "limits.traceBytes": (value) => ({ limits: { traceBytes: value as number } }),
    "limits.bufferBytes": (value) => ({ limits: { bufferBytes: value as number } }),
  };
  for (const [field, config] of Object.entries(SETTINGS)) {
    test(`${field} is a number in its range, or the configuration is wrong`, () => {
      for (const value of WRONG) {
        if (value === null) continue; // null counts as missing
        assert.throws(
          () => client(config(value)),
          { code: "invalid_config", message: new RegExp(`^${field}:`) },
          String(value),
        );
      }
    });
  }
  test("a transport's numbers are in their ranges too", () => {
    for (const value of [Number.NaN, Infinity, -1, 0, 100, 1e300]) {
      const wrong = { fetch: exporter.fetch, maxBodyBytes: value };
      assert.throws(() => client({ transport: wrong }), {
        code: "invalid_config",
        message: /^transport\.maxBodyBytes:/,
      });
    }
    for (const value of [Number.NaN, Infinity, -Infinity, 1e300]) {
      const wrong = { fetch: exporter.fetch, clockOffsetMs: value };
      assert.throws(() => client({ transport: wrong }), {
        code: "invalid_config",
        message: /^transport\.clockOffsetMs:/,
      });
    }
  });
  test("a clock that goes wrong later is not used", async () => {
    const transport = { fetch: (url: string, init: never) => exporter.fetch(url, init), clockOffsetMs: 0 };
    const opik = client({ transport });
    transport.clockOffsetMs = Number.NaN;
    opik.span({}).end();
    transport.clockOffsetMs = Infinity;
    opik.span({}).end();
    assert.equal((await opik.flush()).sent, 4);
  });
  test("a flush with an invalid time uses the default, and reports the mistake once", async () => {
    for (const value of [Number.NaN, Infinity, -1, "1000"]) {
      errors.length = 0;
      const opik = client();
      opik.span({}).end();
      assert.equal((await opik.flush({ timeoutMs: value as number })).sent, 2);
      await opik.flush({ timeoutMs: value as number });
      assert.deepEqual(codes(), ["invalid_config"], String(value));
      assert.match(errors[0]!.message, /^timeoutMs:/);
    }
  });
});

describe("the package's own metadata", () => {
  test("is in a row once, whatever the host has written there", async (t) => {
    const clock = useFakeClock();
    t.after(() => clock.restore());
    const given: Record<string, unknown>[] = [
      { opik_edge_unfinished: false },
      { a: 1, opik_edge_unfinished: { nested: [1] }, b: { opik_edge_unfinished: 2 } },
      { opik_edge_unfinished: 'a"b', z: '"opik_edge_unfinished":' },
      { text: '"opik_edge_unfinished":1' },
      JSON.parse('{"__proto__":{"x":1},"opik_edge_unfinished":0}'),
    ];
    for (const metadata of given) {
      const bodies: string[] = [];
      const transport = {
        async fetch(_: string, { body }: { body: Uint8Array }) {
          bodies.push(new TextDecoder().decode(body));
          return new Response(null, { status: 204 });
        },
      };
      const pending: Promise<unknown>[] = [];
      const handler = withOpik(
        {
          fetch(..._: unknown[]) {
            span({ name: "left open", metadata });
            return new Response(null);
          },
        },
        () => ({ transport, onError: (error) => errors.push(error) }),
      );
      await handler.fetch(
        new Request("https://a.test/"),
        {},
        { waitUntil: (promise: Promise<unknown>) => void pending.push(promise) },
      );
      await clock.advance(30_000);
      await Promise.all(pending);
      const { opik_edge_unfinished: _, ...own } = metadata;
      // A name that is there twice would be lost when the text is parsed.
      for (const body of bodies) assert.equal(JSON.stringify(JSON.parse(body)), body);
      const spans = bodies.flatMap(
        (body) => (JSON.parse(body) as { spans?: { name: string; metadata: object }[] }).spans ?? [],
      );
      const found = spans.find(({ name }) => name === "left open")?.metadata;
      assert.deepEqual(found, { opik_edge_unfinished: true, ...own });
    }
    assert.deepEqual(codes(), []);
  });
});
