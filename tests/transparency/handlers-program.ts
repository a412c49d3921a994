// The program of handlers.test.ts in Node, Deno and Bun. Runs servers of every kind on one side and keeps the handlers'
// notes. Reports its ports, and exits on request.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { getRequestListener } from "@hono/node-server";
import type { ServerConfig } from "opik-edge/server";
import { InMemoryExporter } from "opik-edge/testing";
import { type Certificate, type Dispatch, LISTENERS, NOT_THERE, SERVERS } from "./frameworks.js";
import { dispatcher, type Fetch, Notes } from "./handlers.js";
import type { Side } from "./sides.js";

/** Input of the program, its last argument. */
export interface HandlersConfig {
  readonly side: Side;
  /** URL that receives `Listening`. */
  readonly control: string;
  readonly certificate: Certificate;
  /** Path of the package.json in frameworks/. */
  readonly frameworks: string;
}

/** The ports of the program. */
export interface Listening {
  readonly admin: number;
  /** One port for all entries of handlers.ts. */
  readonly web: number;
  /** Ports by the names of frameworks.ts. */
  readonly servers: Readonly<Record<string, number>>;
}

const { side, control, certificate, frameworks } = JSON.parse(process.argv.at(-1)!) as HandlersConfig;
const notes = new Notes();
const unhandled: string[] = [];
let traces = 0;
const reports: string[] = [];
const config: ServerConfig = {
  transport: new InMemoryExporter(),
  onError: ({ code, message }) => void reports.push(`${code}: ${message}`),
  sampleRate: () => {
    traces += 1;
    return 1;
  },
};

const nameOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));
process.on("unhandledRejection", (error) => void unhandled.push(`rejection, ${nameOf(error)}`));
process.on("uncaughtException", (error) => void unhandled.push(`exception, ${nameOf(error)}`));

const idOf = (url = ""): string => /[?&]id=(\w+)/.exec(url)?.[1] ?? "";

const dispatchNode: Dispatch = function (this: unknown, request, response) {
  const { originalUrl = request.url ?? "" } = request as IncomingMessage & { originalUrl?: string };
  const name = decodeURIComponent(originalUrl.slice(1).split("?")[0]!);
  if (name === "-/text") return response.end("the next");
  const listener = LISTENERS[name];
  if (!listener) return NOT_THERE;
  const note = notes.of(idOf(originalUrl));
  note("this", Object.prototype.toString.call(this));
  return listener(request, response, note);
};

const { Deno, Bun } = globalThis as unknown as {
  Deno?: { serve(options: object, handler: Fetch): { addr: { port: number } } };
  Bun?: { serve(options: object): { port: number } };
};

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const settled = async (): Promise<void> => {
  for (let n = 0; n < 3; n += 1) await new Promise((resolve) => setTimeout(resolve, 0));
};

/** Number of turns to wait for a note that might never come. */
const TURNS = 500;

async function administer({ url = "" }: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  if (pathname === "/exit") {
    response.end(JSON.stringify({ traces, reports }), () => process.exit());
    return;
  }
  const id = searchParams.get("id")!;
  const awaited = searchParams.get("awaits");
  for (let n = 0; awaited && !notes.has(id, awaited) && n < TURNS; n += 1)
    await new Promise((turn) => setTimeout(turn, 4));
  await settled();
  response.end(JSON.stringify({ handler: notes.take(id), unhandled: unhandled.splice(0) }));
}

const dispatch = dispatcher(side, config, notes);
const options = { port: 0, hostname: "127.0.0.1" };
const made = {
  dispatch: dispatchNode,
  config: side === "traced" ? config : undefined,
  certificate,
  load: createRequire(frameworks),
};
const servers: Record<string, number> = {};
for (const [name, make] of Object.entries(SERVERS)) {
  servers[name] = await listen(await make(made));
}
const listening: Listening = {
  admin: await listen(createServer(administer)),
  web: Deno
    ? Deno.serve({ ...options, onListen: () => {} }, dispatch).addr.port
    : Bun
      ? Bun.serve({ ...options, fetch: dispatch, development: false }).port
      : await listen(createServer(getRequestListener(dispatch as never))),
  servers,
};
await fetch(control, { method: "POST", body: JSON.stringify(listening) });
