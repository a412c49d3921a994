// The server that both sides of a case call. It records the requests of each case. The path selects the answer:
// `/plain/12/gzip` is case 12 without tracing, answered by `gzip` of answers.ts. Trace headers, and preflights that only
// they cause, are not recorded.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { ANSWERS } from "./answers.js";
import type { Site } from "./runtimes.js";
import type { Side } from "./sides.js";

/** A request as it arrived. */
export interface Seen {
  readonly method: string;
  /** The path and query, without the case's prefix. */
  readonly path: string;
  /** `own` is the origin of the pages. */
  readonly origin: "own" | "other" | "refusing";
  /** In their original order and spelling. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The bytes decoded as Latin-1. */
  readonly body: string;
  /** `true` if the body arrived completely. */
  readonly complete: boolean;
}

/** A running server: one for each runtime. */
export interface RecordingServer extends Site {
  /** URL of the same server at another origin, which allows CORS. */
  readonly other: string;
  /** URL of the same server at an origin without CORS. */
  readonly refusing: string;
  /** Removes and returns the requests of a case. */
  take(side: Side, id: number): Seen[];
  /** Number of requests with trace headers. */
  traced(): number;
  close(): Promise<void>;
}

/** One case of one side. */
class Case {
  readonly seen: Seen[] = [];
  /** `true` after a request other than a preflight. */
  called = false;
  hungUp = 0;
  open = 0;
  steps = 0;
}

/** Response headers that a cross-origin page may read. */
const EXPOSED =
  "content-type,content-length,content-encoding,x-a,x-b,x-latin,x-long,location,www-authenticate,vary,set-cookie";

/** Time limit for an event that a program waits for. */
const IN_VAIN_MS = 8000;

/** Time limit for an answer that waits for its client to leave or to ask for more. */
const GIVES_UP_MS = 15_000;

/** Interval between the chunks of an endless answer while the program waits for its end. */
const POKE_MS = 10;

/** Starts the server on three free ports. */
export async function startServer(): Promise<RecordingServer> {
  const cases = new Map<string, Case>();
  const files = new Map<string, { type: string; body: string }>();
  const watchers = new Watchers();
  let traced = 0;
  /** The case of requests without a case in their path, such as a page's `fetch(undefined)`. */
  let current: string | undefined;

  const caseOf = (key: string): Case => {
    const known = cases.get(key) ?? new Case();
    cases.set(key, known);
    return known;
  };

  /** Answers a program's request such as `/control/next/plain/12`: `true` once the event has happened, otherwise `false`. */
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
    // Some clients close a connection only when more bytes arrive.
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
      // A client that neither leaves nor asks for more would wait forever.
      await watchers.until(go, () => "next", GIVES_UP_MS).catch(() => response.destroy());
    };
    await make({ request, response, path: `/${key}/`, elsewhere: `${other}/${key}/`, next });
  };

  const handle =
    (origin: Seen["origin"]) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      // Headers must not depend on the time.
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
    // Idle connections outlive the suite, so that no client has to handle their closing.
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

/** `true` for a preflight that only trace headers caused. */
function isOnlyOurs({ headers }: IncomingMessage): boolean {
  const names = headers[ASKED_FOR]?.split(",") ?? [];
  const isSimple = /^(GET|HEAD|POST)$/.test(headers["access-control-request-method"]!);
  return isSimple && names.length > 0 && names.every((name) => isOurs(name.trim()));
}

/** Headers and body without trace headers, and with a fixed boundary of form data. */
function withoutOurs({ rawHeaders }: IncomingMessage, bytes: Buffer): Pick<Seen, "headers" | "body"> {
  const body = bytes.toString("latin1");
  // Found in the body, because the host may have replaced the content type.
  const boundary = /^--(\S{10,}?)(--)?\r\n/.exec(body)?.[1];
  const plainly = (text: string): string => (boundary ? text.replaceAll(boundary, "BOUNDARY") : text);
  // Firefox's boundaries vary in length, so the content length does too.
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
