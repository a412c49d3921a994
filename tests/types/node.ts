// A server's use of the types, without those of a page. Compiled, never run.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Opik } from "opik-edge";
import { opikMiddleware as middleware, withOpik } from "opik-edge/node";
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

// @ts-expect-error -- what it takes is known without a page's types
opik.fetch(7);
assertTrees(exporter, []);
