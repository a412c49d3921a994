// The routes of the page and of tests: lists, traces, rows, threads, refusals, trees, export and import.

import type { ListAnswer, RowAnswer, Status, ThreadAnswer, TraceAnswer, TraceSummary } from "../api.js";
import { parseJson } from "./body.js";
import type { Answer, Asking } from "./opik-routes.js";
import { Refusal } from "./refusal.js";
import type { Refusals } from "./refusals.js";
import type { Kept, StoredRow } from "./shelf.js";
import type { Store, TraceFilter } from "./store.js";
import { summariseRow, summariseScores } from "./summary.js";
import { treeOf } from "./tree.js";
import type { Entity, Row, Scored } from "./validate.js";

/** The data of the routes. */
export interface Viewed {
  readonly store: Store;
  readonly refusals: Refusals;
  status(): Status;
  /** Resolves as soon as `find` finds something; to `undefined` after `timeoutMs`. */
  waitFor<T>(find: () => T | undefined, timeoutMs: number): Promise<T | undefined>;
}

const MAX_LISTED = 500;
const MAX_WAIT_MS = 120_000;

/** Answers the viewer's own routes; `undefined` for other paths. */
export async function answerViewer(viewed: Viewed, asking: Asking): Promise<Answer | undefined> {
  const { store, refusals } = viewed;
  const { method, path, query } = asking;
  const [, tree] = /^\/trees(?:\/([^/]+))?$/.exec(path) ?? [];
  if (path.startsWith("/trees") && method === "GET") return { status: 200, text: trees(store, tree) };
  const [, route, rest] = /^\/viewer\/([a-z]+)(?:\/(.+))?$/.exec(path) ?? [];
  switch (route && `${method} ${route}${rest === undefined ? "" : "/"}`) {
    case "GET status":
      return json(viewed.status());
    case "GET traces":
      return json({ ...store.list(filterOf(query)), status: viewed.status() } satisfies ListAnswer);
    case "DELETE traces":
      store.clear();
      return { status: 204 };
    case "GET traces/":
      return json(traceOf(store, decode(rest!)));
    case "GET rows/":
      return json(rowOf(store, decode(rest!), query));
    case "GET threads": {
      const thread = store.summary(query.get("of") ?? "")?.thread;
      if (typeof thread !== "string") throw new Refusal(404, "no such trace, or it has no thread");
      return json(threadOf(store, thread));
    }
    case "GET threads/":
      return json(threadOf(store, decode(rest!)));
    case "GET refusals":
      return json({ refusals: refusals.all });
    case "DELETE refusals":
      refusals.clear();
      return { status: 204 };
    case "GET wait":
      return json(await wait(viewed, query));
    case "GET export":
      return {
        status: 200,
        text: exported(store, query.get("trace")),
        headers: {
          "content-type": "application/x-ndjson",
          "content-disposition": 'attachment; filename="traces.ndjson"',
        },
      };
    case "POST import":
      return json({ rows: importRows(store, asking.body) });
    default:
      return undefined;
  }
}

function json(value: unknown): Answer {
  return { status: 200, json: value };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, "the path is not well encoded");
  }
}

function filterOf(query: URLSearchParams): TraceFilter {
  const text = (name: string) => query.get(name) ?? undefined;
  const number = (name: string, preset: number, most = Number.POSITIVE_INFINITY) => {
    const value = Number(query.get(name) ?? preset);
    if (Number.isNaN(value)) throw new Refusal(400, `${name} is a number`);
    return Math.min(value, most);
  };
  return {
    text: text("q"),
    name: text("name"),
    project: text("project"),
    thread: text("thread"),
    hasErrors: query.get("error") === "1",
    minSpans: number("spans", 0),
    isDone: query.get("done") === "1",
    before: number("before", Number.POSITIVE_INFINITY),
    limit: Math.max(1, number("limit", 50, MAX_LISTED)),
  };
}

function traceOf(store: Store, id: string): TraceAnswer {
  const summary = store.summary(id);
  if (!summary) throw new Refusal(404, `no such trace: ${id}`);
  const kept = store.ofTrace(id);
  const scoresOf = store.scoresIn(id);
  const of = (entity: Entity) =>
    kept.filter((one) => one.entity === entity).map((one) => summariseRow(one, scoresOf(one)));
  return { summary, traces: of("traces"), spans: of("spans") };
}

function rowOf(store: Store, trace: string, query: URLSearchParams): RowAnswer {
  const entity = query.get("of") === "trace" ? "traces" : "spans";
  const kept = store.row(entity, trace, query.get("key") ?? "");
  if (!kept) throw new Refusal(404, "no such row");
  return { row: kept.row, sender: kept.sender };
}

function threadOf(store: Store, thread: string): ThreadAnswer {
  const { traces } = store.list({ thread, limit: MAX_LISTED });
  const turns = traces.map((summary) => {
    const row = store.ofTrace(summary.id).find(({ entity }) => entity === "traces")?.row;
    return { summary, input: row?.["input"] ?? null, output: row?.["output"] ?? null };
  });
  const scores = summariseScores(store.scoresOfThread(thread));
  return { thread, scores, turns: turns.sort((a, b) => a.summary.start - b.summary.start) };
}

/** The first trace that is as asked for, which has come to its end unless `done=0`. */
async function wait(viewed: Viewed, query: URLSearchParams): Promise<TraceSummary> {
  const timeout = Number(query.get("timeout") ?? 30_000);
  if (!(timeout >= 0 && timeout <= MAX_WAIT_MS))
    throw new Refusal(400, `timeout is a number of ms up to ${MAX_WAIT_MS}`);
  const filter = { ...filterOf(query), isDone: query.get("done") !== "0", limit: 1 };
  const id = query.get("trace");
  const find = () => {
    if (id === null) return viewed.store.list(filter).traces[0];
    const summary = viewed.store.summary(id);
    return summary && (!filter.isDone || summary.ms !== null) && summary.spans >= filter.minSpans!
      ? summary
      : undefined;
  };
  const found = await viewed.waitFor(find, timeout);
  if (!found) throw new Refusal(408, `no such trace has come within ${timeout} ms`);
  return found;
}

/** One row a line, as `importRows` reads it. */
function exported(store: Store, trace: string | null): string {
  const lines: string[] = [];
  const line = (value: object) => lines.push(`${JSON.stringify(value)}\n`);
  const write = ({ entity, row, sender }: Kept) => line({ entity, row, sender });
  if (trace === null) {
    for (const entity of ["traces", "spans"] as const) for (const kept of store.all(entity)) write(kept);
    for (const score of store.scores()) line({ score });
    return lines.join("");
  }
  const scoresOf = store.scoresIn(trace);
  for (const kept of store.ofTrace(trace)) {
    write(kept);
    for (const score of scoresOf(kept)) line({ score });
  }
  return lines.join("");
}

/** Number of rows per write. */
const IMPORT_ROWS = 1000;

/** Imports rows and returns their number. Ids may have any age, because the export's server has accepted them. */
export function importRows(store: Store, text: string): number {
  let count = 0;
  let from = { entity: "spans" as Entity, sender: "" };
  let rows: Row[] = [];
  const write = () => {
    if (rows.length > 0) store.replace(from.entity, rows, from.sender);
    rows = [];
  };
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    count += 1;
    const { entity, row, sender, score } = (parseJson(line) ?? {}) as Record<string, unknown>;
    if (isScore(score)) store.score(score.entity, [score]);
    else if (isEntity(entity) && isStored(entity, row)) {
      const by = String(sender ?? "");
      if (entity !== from.entity || by !== from.sender || rows.length === IMPORT_ROWS) write();
      from = { entity, sender: by };
      rows.push(row);
    } else throw new Refusal(422, `line ${count} is not a row of an export`);
  }
  write();
  return count;
}

function isScore(value: unknown): value is Row & { entity: Scored } {
  const score = value as Row | null | undefined;
  if (typeof score !== "object" || score === null) return false;
  return score["entity"] === "threads"
    ? typeof score["id"] === "string"
    : isEntity(score["entity"]) && isId(score["id"]);
}

function isEntity(value: unknown): value is Entity {
  return value === "traces" || value === "spans";
}

function isStored(entity: Entity, value: unknown): value is StoredRow {
  const row = value as Partial<StoredRow> | null;
  if (typeof row !== "object" || row === null || !isId(row.id)) return false;
  return entity === "traces" || (isId(row.trace_id) && (row.parent_span_id === undefined || isId(row.parent_span_id)));
}

function isId(value: unknown): boolean {
  return typeof value === "string" && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}

function trees(store: Store, traceId: string | undefined): string {
  const ids = traceId ? [traceId] : Array.from(oldestFirst(store));
  return ids.map((id) => `${treeOf(id, store)}\n`).join("\n");
}

function* oldestFirst(store: Store): Iterable<string> {
  const { traces } = store.list({ limit: Number.POSITIVE_INFINITY });
  for (const { id } of traces.reverse()) yield id;
}
