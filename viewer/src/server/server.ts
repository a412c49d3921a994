// The server: it takes what SDKs send, and answers the page. guard.ts refuses requests, opik-routes.ts and
// viewer-routes.ts answer them. Nothing that is sent to it ends it.

import { readFileSync } from "node:fs";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { ASSETS } from "../../generated/assets.js";
import type { Status } from "../api.js";
import { type Body, bodyOf } from "./body.js";
import { Events } from "./events.js";
import { Forward, type ForwardOptions } from "./forward.js";
import { isOfThisMachine, type Purpose, refusalOf } from "./guard.js";
import { MemoryShelf } from "./memory-shelf.js";
import { type Answer, type Asking, answerOpik } from "./opik-routes.js";
import { answerRefusal, Otlp } from "./otlp.js";
import { Refusal } from "./refusal.js";
import { Refusals } from "./refusals.js";
import { nameOf, senderOf } from "./senders.js";
import { openFile } from "./sqlite-shelf.js";
import { type Bounds, Store, type StoredRow, type StoredScore } from "./store.js";
import { treeOf } from "./tree.js";
import { answerViewer, importRows, type Viewed } from "./viewer-routes.js";
import { Watchers } from "./watchers.js";

export type * from "../api.js";

/** How to run it. */
export interface CollectorOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** Where it listens; by default 127.0.0.1, and [::1] where a port is given. */
  readonly host?: string;
  /** Further host names. */
  readonly allowHosts?: readonly string[];
  /** A file of SQLite to keep the rows in, which takes Node 22.13; otherwise they live in memory. */
  readonly file?: string;
  /** An export, whose rows are read at the start. */
  readonly importFrom?: string;
  readonly bounds?: Bounds;
  readonly forward?: ForwardOptions;
  /** Sees each upload first, and may answer it itself: it returns the status then, or 0 where it answers nothing. */
  readonly intercept?: Intercept;
  /** Keeps every request for `requests`: for tests, since it grows for ever. */
  readonly keepsRequests?: boolean;
  /** Its clock, in ms since 1970. */
  readonly now?: () => number;
}

/** Intercepts an upload. `keep` stores its rows. */
export type Intercept = (upload: Upload, response: ServerResponse, keep: () => void) => number | undefined;

/** An upload, as it came. */
export interface Upload {
  /** Without `/api`. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Bytes of the body as it came. */
  readonly bytes: number;
  /** The decoded body. */
  readonly body: string;
}

/** One request, for tests. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The status of the answer; 0 without an answer. */
  readonly status: number;
}

/** A running collector. */
export interface Collector {
  /** The API's base URL: what `OPIK_URL_OVERRIDE` is set to. The page is at its root. */
  readonly url: string;
  readonly store: Store;
  traces(): StoredRow[];
  spans(): StoredRow[];
  scores(): StoredScore[];
  /** Every request that was answered, oldest first, where they are kept. */
  readonly requests: readonly SeenRequest[];
  /** A trace as a tree. */
  tree(traceId: string): string;
  /** Resolves as soon as `condition` holds; it is looked at after every request. Rejects after `timeoutMs`. */
  until(condition: () => boolean, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

const MB = 1024 * 1024;
const IN_MEMORY: Bounds = { spans: 200_000, bytes: 256 * MB };
const IN_A_FILE: Bounds = { spans: Number.POSITIVE_INFINITY, bytes: 2048 * MB };

/** Of the package. */
export const VERSION: string = ASSETS.version;

/** Starts a collector. */
export async function startCollector(options: CollectorOptions = {}): Promise<Collector> {
  const { now = Date.now, file, bounds = file === undefined ? IN_MEMORY : IN_A_FILE } = options;
  const requests: SeenRequest[] = [];
  const watchers = new Watchers();
  const events = new Events();
  const refusals = new Refusals();
  const shelf = file === undefined ? new MemoryShelf() : await openFile(file);
  const store = new Store(shelf, bounds, (changed) => events.tell(changed));
  const forward = options.forward && new Forward(options.forward);
  if (options.importFrom !== undefined) importRows(store, readFileSync(options.importFrom, "utf8"));
  let port = 0;

  const status = (): Status => ({
    version: VERSION,
    ...store.held(),
    file: file ?? null,
    refusals: refusals.count,
    forward: forward?.status ?? null,
  });
  const waitFor = async <T>(find: () => T | undefined, timeoutMs: number): Promise<T | undefined> => {
    let found: T | undefined;
    const isThere = () => {
      found = find();
      return found !== undefined;
    };
    await watchers.until(isThere, () => "", timeoutMs).catch(() => {});
    return found;
  };
  const viewed: Viewed = { store, refusals, status, waitFor };
  const otlp = new Otlp(store);

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { headers, method = "GET" } = request;
    const { path, query } = targetOf(request.url ?? "/");
    let body: Body | undefined;
    const note = (answered: number) => {
      if (options.keepsRequests) {
        requests.push({
          method,
          path: `${path.prefix}${path.rest}`,
          headers,
          body: body?.text ?? "",
          status: answered,
        });
      }
      watchers.notify();
    };
    const purpose = purposeOf(path);
    const sender = senderOf(headers);
    const noteAnswer = () => note(response.statusCode);
    response.on("finish", noteAnswer);
    try {
      // A preflight does nothing: a page is refused by the lack of headers in its answer.
      const asked = method === "OPTIONS" ? { host: headers.host } : headers;
      const why = refusalOf(
        { purpose, headers: asked },
        { port, ...(options.allowHosts && { allowHosts: options.allowHosts }) },
      );
      if (why !== undefined) throw new Refusal(403, why);
      allowOrigin(response, headers, purpose);
      if (purpose === "page") return answerAsset(response, path.rest);
      if (path.prefix === "") return answerOutside(response, path.rest, purpose, method);
      if (method === "OPTIONS") return answer(response, { status: 204 });
      if (path.rest === "/viewer/events") return events.listen(response);
      const sent = await bodyOf(request);
      body = sent;
      const isOtlp = isOfOtlp(path);
      if (isOtlp) await otlp.load();
      const asking: Asking = { method, path: path.rest, query, body: isOtlp ? "" : sent.text, sender, nowMs: now() };
      const answerUpload = () => (isOtlp ? otlp.answer(asking, headers, sent) : answerOpik(store, asking));
      if (method !== "GET" && options.intercept) {
        const upload = { path: path.rest, headers, bytes: body.sent.byteLength, body: body.text };
        const answered = options.intercept(upload, response, () => void answerUpload());
        if (answered !== undefined) {
          response.off("finish", noteAnswer);
          return note(answered);
        }
      }
      const found = answerUpload() ?? (await answerViewer(viewed, asking));
      if (!found) throw new Refusal(404, `no such route: ${path.rest}`);
      answer(response, found);
      if (forward && purpose === "ingest" && method !== "GET" && found.status < 300) {
        forward.pass(method, path.rest, headers, body.sent).then(() => events.tell([]));
      }
    } catch (error) {
      const refusal = error instanceof Refusal ? error : undefined;
      if (purpose === "ingest" && refusal) {
        refusals.add(refusal, {
          at: now(),
          method,
          path: path.rest,
          sender: nameOf(sender),
          body: isOfOtlp(path) ? undefined : valueIn(body?.text),
        });
        events.tell([]);
      }
      // A body that is not read to its end would be the next request.
      if (!request.complete) response.setHeader("connection", "close");
      const { status: code, message, details } = refusal ?? { status: 500, message: String(error) };
      if (response.headersSent) response.destroy();
      else if (path.prefix === "" && code === 405) answerHtml(response, code, message);
      else if (isOfOtlp(path)) answer(response, answerRefusal(headers, code, message, details));
      else answer(response, { status: code, json: { code, message, details } });
      request.resume();
    }
  };

  const listening: Server[] = [];
  const listen = async (host: string, wanted: number) => {
    const server = createServer(TIMEOUTS, (request, response) => void serve(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(wanted, host, resolve);
    });
    listening.push(server);
    return (server.address() as AddressInfo).port;
  };
  try {
    port = await listen(options.host ?? "127.0.0.1", options.port ?? 0);
  } catch (error) {
    store.close();
    throw error;
  }
  // On some machines `localhost` is ::1. Others lack IPv6.
  if (options.port && options.host === undefined) await listen("::1", options.port).catch(() => {});

  return {
    url: `http://127.0.0.1:${port}/api`,
    store,
    traces: () => store.rows("traces"),
    spans: () => store.rows("spans"),
    scores: () => store.scores(),
    requests,
    tree: (traceId) => treeOf(traceId, store),
    until: (condition, timeoutMs) => {
      const seen = () => requests.map(({ method, path, status }) => `${method} ${path} ${status}`).join("\n");
      return watchers.until(condition, () => `the collector has seen\n${seen()}`, timeoutMs);
    },
    close: async () => {
      events.close();
      await Promise.all(
        listening.map(
          (server) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve());
              server.closeAllConnections();
            }),
        ),
      );
      store.close();
    },
  };
}

interface Path {
  /** `/api`, or nothing. */
  readonly prefix: string;
  readonly rest: string;
}

/** Accepts every text as a target. */
function targetOf(url: string): { path: Path; query: URLSearchParams } {
  const [, pathname = "", search = ""] = /^([^?#]*)\??([^#]*)/.exec(url) ?? [];
  const prefix = /^\/api(?=\/|$)/.exec(pathname)?.[0] ?? "";
  return { path: { prefix, rest: pathname.slice(prefix.length) }, query: new URLSearchParams(search) };
}

function purposeOf({ prefix, rest }: Path): Purpose {
  if (prefix === "" && Object.hasOwn(ASSETS.files, rest)) return "page";
  return /^\/(?:v1\/private\/|is-alive\/ping$)/.test(rest) ? "ingest" : "data";
}

/** The uploads of OpenTelemetry. */
function isOfOtlp({ prefix, rest }: Path): boolean {
  return prefix !== "" && rest.startsWith("/v1/private/otel/");
}

/** A client on this machine sends its headers at once. In ms. */
const TIMEOUTS = { headersTimeout: 5000, requestTimeout: 120_000, connectionsCheckingInterval: 1000 };

const SAFE_HEADERS = {
  "x-content-type-options": "nosniff",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
};
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** Lets pages of this machine send traces and read the status of the answer. */
function allowOrigin(response: ServerResponse, { origin }: IncomingHttpHeaders, purpose: Purpose): void {
  if (origin === undefined || purpose !== "ingest" || !isOfThisMachine(origin)) return;
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("access-control-allow-methods", "POST, PUT, PATCH");
  response.setHeader(
    "access-control-allow-headers",
    "authorization, content-type, comet-workspace, projectname, x-opik-edge",
  );
  response.setHeader("vary", "origin");
}

function answerAsset(response: ServerResponse, name: string): void {
  const { type, text } = ASSETS.files[name]!;
  response.writeHead(200, { ...SAFE_HEADERS, "content-type": type, "content-security-policy": CSP }).end(text);
}

/** Outside /api, where a self-hosted Opik has its page: so a base URL without /api fails here as it does there. */
function answerOutside(response: ServerResponse, path: string, purpose: Purpose, method: string): void {
  const isMethodOfPages = method === "GET" || method === "HEAD";
  // The link to a project that `opik configure` prints.
  if (/^\/[^/]+\/projects\//.test(path)) answer(response, { status: 302, headers: { location: "/" } });
  else if (purpose !== "ingest") throw new Refusal(404, "no such page");
  else if (!isMethodOfPages) throw new Refusal(405, "here is only a page: the API is below /api");
  else answerAsset(response, "/");
}

function answerHtml(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { ...SAFE_HEADERS, "content-type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><title>${status}</title><h1>${status}</h1><p>${message}</p>`);
}

function answer(response: ServerResponse, { status, json, text, bytes, headers }: Answer): void {
  const type = text !== undefined ? "text/plain; charset=utf-8" : "application/json";
  const body = bytes ?? text ?? (json === undefined ? undefined : JSON.stringify(json));
  response.writeHead(status, { ...SAFE_HEADERS, ...(body !== undefined && { "content-type": type }), ...headers });
  response.end(body);
}

/** The value of a JSON text, or nothing. */
function valueIn(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
}
