// A server's use of the types, without a page's types. Compiled, never run.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Opik } from "opik-edge";
import { opikMiddleware as inHono } from "opik-edge/hono";
import { opikMiddleware as middleware, type ServerConfig, withOpik } from "opik-edge/node";
import { relay } from "opik-edge/relay";
import { withOpik as withWebOpik } from "opik-edge/server";
import { assertTrees, InMemoryExporter } from "opik-edge/testing";

const exporter = new InMemoryExporter();
const opik = new Opik({ transport: exporter });

createServer((request, response) => {
  using span = opik.span({ parent: request.headers });
  response.end(span.id);
});
createServer(withOpik((_request, response) => response.end(), { projectName: "types" }));
createServer(withOpik((_request: IncomingMessage, response: ServerResponse) => response.end()));
export const express: unknown = middleware({ projectName: "types" });
export const web: (request: Request) => unknown = withWebOpik((request: Request) => new Response(request.url));
export const handle: (request: Request) => Promise<Response> = relay({ origins: ["https://example.com"] });

// A function's result is checked like an object: a typo is an error in both, and valid settings compile in both.
const handler = (_request: Request): Response => new Response();
void withWebOpik(handler, () => ({ url: "x", limits: { fieldBytes: 5000 }, redact: { keys: ["k"] }, trust: "never" }));
void withWebOpik(handler, () => (exporter ? { url: "x" } : {}));
void withWebOpik(handler, (_env, { request }) => ({
  onError: ({ code }) => void code.length,
  sampleRate: (name) => (name === request.url ? 1 : 0),
  propagateTo: [(url) => url.host === "a.test", { to: "*.b.test", spelling: "both" }],
  signals: ["SIGTERM"],
}));
declare const settings: ServerConfig;
declare const given: ServerConfig | (() => ServerConfig) | undefined;
void withWebOpik(handler, settings);
void withWebOpik(handler, given);
void withWebOpik(handler, () => ({ ...settings, url: "x" }));
// @ts-expect-error -- a mistyped setting
void withWebOpik(handler, { url: "x", projctName: "p" });
// @ts-expect-error -- in a function's result too
void withWebOpik(handler, () => ({ url: "x", projctName: "p" }));
// @ts-expect-error -- and where it is the only one
void withWebOpik(handler, () => ({ projctName: "p" }));
// @ts-expect-error -- of the limits
void withWebOpik(handler, () => ({ limits: { fieldBytes: 5000, spanbytes: 5000 } }));
// @ts-expect-error -- of what is masked
void withWebOpik(handler, () => ({ redact: { keys: ["k"], pattern: [] } }));
// @ts-expect-error -- of another type
void withWebOpik(handler, () => ({ url: 1 }));
const listener = withOpik(
  (_request: IncomingMessage, response: ServerResponse) => response.end(),
  () => ({ url: "x" }),
);
// @ts-expect-error -- for a listener
void withOpik(listener, () => ({ url: "x", projctName: "p" }));
// @ts-expect-error -- for Express
void middleware(() => ({ url: "x", projctName: "p" }));
// @ts-expect-error -- for Hono
void inHono(() => ({ url: "x", projctName: "p" }));
void inHono(() => ({ url: "x", projectName: "p" }));
void inHono<{ KEY: string }>((env) => ({ apiKey: env.KEY }));

// @ts-expect-error -- what it takes is known without a page's types
opik.fetch(7);
assertTrees(exporter, []);
