// A collector of OTLP/HTTP with JSON, which takes only what the definitions allow (opentelemetry-proto 1.5, trace.proto, common.proto;
// OTLP's page on JSON: ids in hex, 64-bit numbers as texts, enumerations as numbers).

import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/** A span, as it has come. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}

type Check = (value: unknown, path: string) => void;

const matches =
  (pattern: RegExp): Check =>
  (value, path) => {
    assert.ok(typeof value === "string" && pattern.test(value), `${path}: ${value}`);
  };
const is =
  (type: string): Check =>
  (value, path) =>
    assert.equal(typeof value, type, path);
const each =
  (check: Check): Check =>
  (value, path) => {
    assert.ok(Array.isArray(value), path);
    for (const [index, one] of value.entries()) check(one, `${path}[${index}]`);
  };
/** An object with these members. A member with a `?` may be missing. */
const object =
  (members: Record<string, Check>): Check =>
  (value, path) => {
    assert.ok(typeof value === "object" && value !== null, path);
    const known = new Map(Object.entries(members).map(([name, check]) => [name.replace("?", ""), check]));
    for (const [name, one] of Object.entries(value)) {
      const check = known.get(name);
      assert.ok(check, `${path} has ${name}`);
      check(one, `${path}.${name}`);
    }
    for (const name of Object.keys(members)) assert.ok(name.endsWith("?") || name in value, `${path} has no ${name}`);
  };

const text = is("string");
const number = is("number");
const nanos = matches(/^[1-9]\d{18}$/);
const anyValue: Check = (value, path) => {
  assert.equal(Object.keys(value as object).length, 1, path);
  const double: Check = (given) => assert.ok(typeof given === "number", path);
  object({
    "stringValue?": text,
    "boolValue?": is("boolean"),
    // OpenTelemetry's own exporter writes numbers, which are allowed as well.
    "intValue?": (given) => assert.match(`${given}`, /^-?\d{1,19}$/, path),
    "doubleValue?": double,
    "arrayValue?": object({ values: each(anyValue) }),
  })(value, path);
};
const attributes = each(object({ key: text, value: anyValue }));
const count = { "droppedAttributesCount?": number };
const request = object({
  resourceSpans: each(
    object({
      resource: object({ attributes, ...count }),
      scopeSpans: each(
        object({
          scope: object({ name: text, "version?": text }),
          spans: each(
            object({
              traceId: matches(/^(?!0+$)[0-9a-f]{32}$/),
              spanId: matches(/^(?!0+$)[0-9a-f]{16}$/),
              "parentSpanId?": matches(/^([0-9a-f]{16})?$/),
              "traceState?": text,
              "flags?": number,
              name: text,
              kind: (kind, path) => assert.ok([1, 2, 3, 4, 5].includes(kind as number), path),
              startTimeUnixNano: nanos,
              endTimeUnixNano: nanos,
              attributes,
              ...count,
              "events?": each(object({ name: text, timeUnixNano: nanos, "attributes?": attributes, ...count })),
              "droppedEventsCount?": number,
              "links?": each(object({})),
              "droppedLinksCount?": number,
              "status?": object({
                "code?": (code, path) => assert.ok([0, 1, 2].includes(code as number), path),
                "message?": text,
              }),
            }),
          ),
        }),
      ),
    }),
  ),
});

/** A running collector. */
export interface OtlpCollector extends AsyncDisposable {
  /** Where it takes traces. */
  readonly url: string;
  /** The accepted spans. */
  readonly spans: OtlpSpan[];
  /** The requests, in order. */
  readonly requests: { readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** The names of services. */
  readonly services: unknown[];
  /** Requests that are wrong. */
  readonly errors: unknown[];
  /** Answers to the first requests; to all others `{}`. */
  readonly answers: { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }[];
}

/** Starts it. */
export async function startOtlpCollector(): Promise<OtlpCollector> {
  const state = { spans: [], requests: [], services: [], errors: [], answers: [] } as unknown as OtlpCollector;
  const server = createServer(async (incoming, response) => {
    let body = "";
    for await (const chunk of incoming.setEncoding("utf8")) body += chunk;
    state.requests.push({ headers: incoming.headers, body });
    const { status, headers = {}, body: answer = "{}" } = state.answers.shift() ?? { status: 200 };
    try {
      assert.equal(incoming.method, "POST");
      assert.equal(incoming.headers["content-type"], "application/json");
      const given = JSON.parse(body);
      request(given, "request");
      for (const { resource, scopeSpans } of status === 200 ? given.resourceSpans : []) {
        state.services.push(
          resource.attributes.find(({ key }: { key: string }) => key === "service.name")?.value.stringValue,
        );
        for (const { spans } of scopeSpans) state.spans.push(...spans);
      }
    } catch (error) {
      state.errors.push(error);
    }
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return Object.assign(state, { url, [Symbol.asyncDispose]: close });
}
