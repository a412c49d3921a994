// The part of the Opik API that SDKs deliver to, on 127.0.0.1: routes and bodies. Rules for refusals are in
// validate.ts, storage is in store.ts.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { Store, type StoredRow, type StoredScore } from "./store.js";
import { treeOf } from "./tree.js";
import { checkBatch, checkRow, checkScores, checkUpdate, type Entity, Refusal } from "./validate.js";
import { Watchers } from "./watchers.js";

/** How to run it. */
export interface CollectorOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  /** A file to keep the rows in; otherwise they live in memory. */
  readonly store?: string;
  /** Sees each upload first, and may answer it itself: it returns the status then, or 0 where it answers nothing. */
  readonly intercept?: Intercept;
  /** Its clock, in ms since 1970. */
  readonly now?: () => number;
}

/** Decides what becomes of an upload. `keep` stores its rows. */
export type Intercept = (upload: Upload, response: ServerResponse, keep: () => void) => number | undefined;

/** An upload, as it came. */
export interface Upload {
  /** Without `/api`. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** Bytes of the body as it came. */
  readonly bytes: number;
  /** The decoded body. */
  readonly body: string;
}

/** One request, for tests. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** The status of the answer; 0 when there was no answer. */
  readonly status: number;
}

/** A running collector. */
export interface Collector {
  /** The API's base URL: what `OPIK_URL_OVERRIDE` is set to. */
  readonly url: string;
  traces(): StoredRow[];
  spans(): StoredRow[];
  scores(): StoredScore[];
  /** Every request that was answered, oldest first. */
  readonly requests: readonly SeenRequest[];
  /** A trace as a tree. */
  tree(traceId: string): string;
  /** Resolves as soon as `condition` holds; it is looked at after every request. Rejects after `timeoutMs`. */
  until(condition: () => boolean, timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts a collector. */
export async function startCollector(options: CollectorOptions = {}): Promise<Collector> {
  const store = new Store(options.store);
  const { now = Date.now } = options;
  const requests: SeenRequest[] = [];
  const watchers = new Watchers();

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const raw = await bytesOf(request);
    const method = request.method ?? "GET";
    const body = request.headers["content-encoding"] === "gzip" ? gunzipSync(raw).toString() : raw.toString();
    const { headers } = request;
    const note = (status: number) => {
      requests.push({ method, path: pathname, headers, body, status });
      watchers.notify();
    };
    const path = pathname.replace(/^\/api/, "");
    try {
      if (method !== "GET" && options.intercept) {
        const keep = () => void handle(store, method, path, searchParams, body, now());
        const status = options.intercept({ path, headers, bytes: raw.byteLength, body }, response, keep);
        if (status !== undefined) return note(status);
      }
      response.on("finish", () => note(response.statusCode));
      answer(response, handle(store, method, path, searchParams, body, now()));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, message, details } = error;
      answer(response, { status, json: { code: status, message, details } });
    }
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    traces: () => store.rows("traces"),
    spans: () => store.rows("spans"),
    scores: () => store.scores(),
    requests,
    tree: (traceId) => treeOf(traceId, store),
    until: (condition, timeoutMs) => {
      const seen = () => requests.map(({ method, path, status }) => `${method} ${path} ${status}`).join("\n");
      return watchers.until(condition, () => `the collector has seen\n${seen()}`, timeoutMs);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly location?: string;
}

function handle(
  store: Store,
  method: string,
  path: string,
  query: URLSearchParams,
  body: string,
  nowMs: number,
): Answer {
  if (path === "/is-alive/ping") return { status: 200, json: { message: "pong", healthy: true } };
  const tree = /^\/trees(?:\/([^/]+))?$/.exec(path);
  if (tree) return { status: 200, text: trees(store, tree[1]) };
  const [, entity, rest] = /^\/v1\/private\/(traces|spans)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (!entity) throw new Refusal(404, `no such route: ${path}`);
  return handleRows(store, method, entity as Entity, rest, query, body, nowMs);
}

function handleRows(
  store: Store,
  method: string,
  entity: Entity,
  rest: string | undefined,
  query: URLSearchParams,
  body: string,
  nowMs: number,
): Answer {
  if (method === "POST" && rest === "batch") {
    for (const row of checkBatch(entity, parse(body), nowMs)) store.replace(entity, row);
    return { status: 204 };
  }
  if (method === "PUT" && rest === "feedback-scores") {
    for (const row of checkScores(parse(body), nowMs)) store.score(entity, row);
    return { status: 204 };
  }
  if (method === "POST" && rest === undefined) {
    const row = checkRow(entity, parse(body), nowMs);
    store.create(entity, row);
    return { status: 201, location: `/v1/private/${entity}/${row["id"]}` };
  }
  if (method === "PATCH" && rest !== undefined) {
    store.update(entity, rest, checkUpdate(entity, rest, parse(body), nowMs));
    return { status: 204 };
  }
  if (method === "GET" && rest === undefined) {
    const traceId = query.get("trace_id");
    return { status: 200, json: { content: store.rows(entity).filter((row) => !traceId || row.trace_id === traceId) } };
  }
  if (method === "GET" && rest !== undefined) {
    const row = store.find(entity, rest);
    if (!row) throw new Refusal(404, `no such row: ${rest}`);
    return { status: 200, json: row };
  }
  throw new Refusal(405, `${method} is not allowed here`);
}

function trees(store: Store, traceId: string | undefined): string {
  const spans = store.rows("spans");
  const ids = traceId ? [traceId] : [...store.rows("traces").map(({ id }) => id), ...spans.map((s) => s.trace_id!)];
  return [...new Set(ids)].map((id) => `${treeOf(id, store)}\n`).join("\n");
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Refusal(400, "Unable to process JSON");
  }
}

function answer(response: ServerResponse, { status, json, text, location }: Answer): void {
  if (location) response.setHeader("location", location);
  if (text !== undefined) response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(text);
  else if (json !== undefined)
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(json));
  else response.writeHead(status).end();
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
