// The part of the Opik API that SDKs deliver to. validate.ts refuses rows, store.ts keeps them.

import { parseJson } from "./body.js";
import { Refusal } from "./refusal.js";
import { namesOf, type Sender } from "./senders.js";
import type { Store } from "./store.js";
import { checkBatch, checkRow, checkScores, checkUpdate, type Entity } from "./validate.js";

/** A request, as routes see it. */
export interface Asking {
  readonly method: string;
  /** Without `/api`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly sender: Sender;
  readonly nowMs: number;
}

/** The answer. */
export interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly text?: string;
  readonly bytes?: Uint8Array;
  readonly headers?: Record<string, string>;
}

const PROJECT_ID = "01900000-0000-7000-8000-000000000000";

/** Answers requests of Opik's API; `undefined` for other paths. */
export function answerOpik(store: Store, asking: Asking): Answer | undefined {
  const { path, method, query, body } = asking;
  if (path === "/is-alive/ping") return { status: 200, json: { message: "pong", healthy: true } };
  if (path === "/v1/private/projects/retrieve" && method === "POST") {
    const { name } = (parseJson(body) ?? {}) as { name?: unknown };
    return { status: 200, json: { id: PROJECT_ID, name: String(name ?? "Default Project") } };
  }
  if (path === "/v1/private/projects" && method === "GET") return { status: 200, json: projectsOf(store) };
  // The link that the official SDKs print.
  if (path.startsWith("/v1/session/redirect/projects")) {
    const trace = query.get("trace_id");
    return { status: 302, headers: { location: trace ? `/#/trace/${encodeURIComponent(trace)}` : "/" } };
  }
  if (path === "/v1/private/traces/threads/feedback-scores" && method === "PUT") {
    store.score("threads", checkScores("threads", parseJson(body), asking.nowMs));
    return { status: 204 };
  }
  const [, entity, rest] = /^\/v1\/private\/(traces|spans)(?:\/([^/]+))?$/.exec(path) ?? [];
  return entity === undefined ? undefined : answerRows(store, entity as Entity, rest, asking);
}

/** The projects of the newest traces, the newest first: `opik configure` takes the first one. */
function projectsOf(store: Store): object {
  const names = new Set(store.list({ limit: 500 }).traces.flatMap(({ projects }) => projects));
  const content = Array.from(names, (name) => ({ id: PROJECT_ID, name }));
  return { page: 1, size: content.length, total: content.length, content };
}

function answerRows(store: Store, entity: Entity, rest: string | undefined, asking: Asking): Answer {
  const { method, query, body, nowMs } = asking;
  const sender = namesOf(asking.sender);
  if (method === "POST" && rest === "batch") {
    store.replace(entity, checkBatch(entity, parseJson(body), nowMs), sender);
    return { status: 204 };
  }
  if (method === "PUT" && rest === "feedback-scores") {
    store.score(entity, checkScores(entity, parseJson(body), nowMs));
    return { status: 204 };
  }
  if (method === "POST" && rest === undefined) {
    const row = checkRow(entity, parseJson(body), nowMs);
    store.create(entity, row, sender);
    return { status: 201, headers: { location: `/v1/private/${entity}/${row["id"]}` } };
  }
  if (method === "PATCH" && rest !== undefined) {
    store.update(entity, rest, checkUpdate(entity, rest, parseJson(body), nowMs), sender);
    return { status: 204 };
  }
  if (method === "GET" && rest === undefined) {
    const trace = query.get("trace_id");
    const rows = trace
      ? store
          .ofTrace(trace)
          .filter((kept) => kept.entity === entity)
          .map(({ row }) => row)
      : store.rows(entity);
    return { status: 200, json: { content: rows } };
  }
  if (method === "GET" && rest !== undefined) {
    const row = store.find(entity, rest);
    if (!row) throw new Refusal(404, `no such row: ${rest}`);
    return { status: 200, json: row };
  }
  throw new Refusal(405, `${method} is not allowed here`);
}
