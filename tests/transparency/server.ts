// The server that both sides of a case talk to. It writes down what it sees, case by case, and answers as the path says:
// `/plain/12/gzip` is case 12 without tracing, answered by `gzip` of answers.ts. Trace headers are left out of what was seen,
// and with them what only they have brought about.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { Watchers } from "../../collector/watchers.js";
import { ANSWERS } from "./answers.js";
import type { Site } from "./runtimes.js";
import type { Side } from "./sides.js";

/** A request as it arrived. */
export interface Seen {
  readonly method: string;
  /** Without the case; with its query. */
  readonly path: string;
  /** `own` is that of pages. */
  readonly origin: "own" | "other" | "refusing";
  /** In their order and case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The bytes as Latin-1. */
  readonly body: string;
  /** Whether the body has come to its end. */
  readonly complete: boolean;
}

/** A running server: one for each runtime. */
export interface RecordingServer extends Site {
  /** The same at another origin, which allows CORS. */
  readonly other: string;
  /** The same at an origin which does not. */
  readonly refusing: string;
  /** What a case's requests were. Forgets them. */
  take(side: Side, id: number): Seen[];
  /** How many requests carried trace headers. */
  traced(): number;
  close(): Promise<void>;
}

/** One case of one side. */
class Case {
  readonly seen: Seen[] = [];
  /** Whether more than a preflight has come. */
  called = false;
  hungUp = 0;
  open = 0;
  steps = 0;
}

/** A page may read these of an answer from elsewhere. */
const EXPOSED =
  "content-type,content-length,content-encoding,x-a,x-b,x-latin,x-long,location,www-authenticate,vary,set-cookie";

/** How long a program waits for what does not happen. */
const IN_VAIN_MS = 8000;

/** How long an answer waits for a client that should have gone, or asked for more. */
const GIVES_UP_MS = 15_000;

/** How often an endless answer goes on while its end is waited for. */
const POKE_MS = 10;

/** Starts it on three free ports. */
export async function startServer(): Promise<RecordingServer> {
  const cases = new Map<string, Case>();
  const files = new Map<string, { type: string; body: string }>();
  const watchers = new Watchers();
  let traced = 0;
  /** Of whom a request is whose path does not say so: `fetch(undefined)` of a page. */
  let current: string | undefined;

  const caseOf = (key: string): Case => {
    const known = cases.get(key) ?? new Case();
    cases.set(key, known);
    return known;
  };

  /** What a program asks for: `/control/next/plain/12` and the like. Answered once it is so, or `false`. */
  const control = async (path: string, response: ServerResponse): Promise<void> => {
    const [, , word, side, id] = path.split("/");
    const asked = caseOf(`${side}/${id}`);
    const holds: Record<string, () => boolean> = {
      begin: () => true,
      next: () => true,
      seen: () => asked.called,
      hungUp: () => asked.hungUp > 0,
      over: () => asked.open === 0,
    };
    if (word === "begin") current = `${side}/${id}`;
    if (word === "next") asked.steps += 1;
    watchers.notify();
    // Some clients notice only with the next bytes that nobody wants them.
    const poke = (): void => {
      asked.steps += 1;
      watchers.notify();
    };
    const poking = word === "hungUp" ? setInterval(poke, POKE_MS) : undefined;
    const happened = watchers.until(holds[word!]!, () => word!, IN_VAIN_MS);
    const answer = await happened.then(
      () => true,
      () => false,
    );
    clearInterval(poking);
    response.writeHead(200, { "content-type": "application/json" }).end(`${answer}`);
  };

  const record = async (request: IncomingMessage, response: ServerResponse, origin: Seen["origin"]): Promise<void> => {
    const url = request.url!;
    const [, side, id, answer = ""] = /^\/(plain|traced)\/(\d+)\/(.*)$/.exec(url) ?? [];
    const key = side ? `${side}/${id}` : current;
    if (key === undefined) return void response.writeHead(404).end();
    const asked = caseOf(key);
    const isPreflight = request.method === "OPTIONS" && "access-control-request-method" in request.headers;
    if (Object.keys(request.headers).some(isOurs)) traced += 1;
    asked.open += 1;
    response.on("close", () => {
      asked.open -= 1;
      if (!response.writableFinished && !response.errored) asked.hungUp += 1;
      watchers.notify();
    });
    let complete = true;
    const bytes = await buffer(request).catch(() => {
      complete = false;
      return Buffer.alloc(0);
    });
    const path = side ? answer : url;
    const seen = { method: request.method!, path, origin, ...withoutOurs(request, bytes), complete };
    if (!isPreflight || !isOnlyOurs(request)) asked.seen.push(seen);
    asked.called ||= !isPreflight;
    watchers.notify();
    if (isPreflight) return void response.writeHead(204).end();
    const name = decodeURIComponent(answer.split(/[?#]/, 1)[0]!);
    const make = (ANSWERS as Record<string, (typeof ANSWERS)["text"]>)[name] ?? ANSWERS[404];
    let steps = 0;
    const next = async (): Promise<void> => {
      steps += 1;
      const go = (): boolean => asked.steps >= steps || response.destroyed;
      // A client that should have gone, and has not, would wait for ever.
      await watchers.until(go, () => "next", GIVES_UP_MS).catch(() => response.destroy());
    };
    await make({ request, response, path: `/${key}/`, elsewhere: `${other}/${key}/`, next });
  };

  const handle =
    (origin: Seen["origin"]) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      // Nothing that depends on the time.
      response.sendDate = false;
      if (origin === "other") allow(request, response);
      const file = files.get(request.url!.split("?", 1)[0]!);
      if (file && origin === "own") return void response.writeHead(200, { "content-type": file.type }).end(file.body);
      if (request.url === "/favicon.ico") return void response.writeHead(404).end();
      if (request.url!.startsWith("/control/")) return void control(request.url!, response);
      void record(request, response, origin);
    };

  const servers: Server[] = [];
  const listen = async (origin: Seen["origin"]): Promise<string> => {
    // A client is never told that its connection is about to be closed.
    const server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 }, handle(origin));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const other = await listen("other");
  return {
    url: await listen("own"),
    other,
    refusing: await listen("refusing"),
    serve: (path, type, body) => void files.set(path, { type, body }),
    take(side, id) {
      const key = `${side}/${id}`;
      const { seen } = caseOf(key);
      cases.delete(key);
      return seen;
    },
    traced: () => traced,
    async close() {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

function allow({ headers }: IncomingMessage, response: ServerResponse): void {
  response.setHeader("access-control-allow-origin", headers.origin ?? "*");
  response.setHeader("access-control-allow-credentials", "true");
  response.setHeader("access-control-expose-headers", EXPOSED);
  const { "access-control-request-method": method, "access-control-request-headers": names } = headers;
  if (method) response.setHeader("access-control-allow-methods", method);
  if (names) response.setHeader("access-control-allow-headers", names);
}

const isOurs = (name: string): boolean => /^opik[-_](trace|parent[-_]span)[-_]id$/i.test(name);
const ASKED_FOR = "access-control-request-headers";

/** A preflight that would not have been without trace headers. */
function isOnlyOurs({ headers }: IncomingMessage): boolean {
  const names = headers[ASKED_FOR]?.split(",") ?? [];
  const isSimple = /^(GET|HEAD|POST)$/.test(headers["access-control-request-method"]!);
  return isSimple && names.length > 0 && names.every((name) => isOurs(name.trim()));
}

/** Headers and body, without our headers and without what is made anew for each request: the boundary of form data. */
function withoutOurs({ rawHeaders }: IncomingMessage, bytes: Buffer): Pick<Seen, "headers" | "body"> {
  const body = bytes.toString("latin1");
  // A host may have put another type in its place.
  const boundary = /^--(\S{10,}?)(--)?\r\n/.exec(body)?.[1];
  const plainly = (text: string): string => (boundary ? text.replaceAll(boundary, "BOUNDARY") : text);
  // Firefox makes boundaries of different lengths.
  const isCounted = (name: string): boolean => boundary !== undefined && name.toLowerCase() === "content-length";
  const headers: [string, string][] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name, value] = [rawHeaders[i]!, rawHeaders[i + 1]!];
    if (isOurs(name)) continue;
    const left = value.split(",").filter((asked) => !isOurs(asked.trim()));
    if (name.toLowerCase() !== ASKED_FOR) headers.push([name, isCounted(name) ? "counted" : plainly(value)]);
    else if (left.length > 0) headers.push([name, left.join(",")]);
  }
  return { headers, body: plainly(body) };
}
