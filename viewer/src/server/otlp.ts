// OpenTelemetry's uploads: OTLP over HTTP, at the path that Opik takes it at. otlp-wire.ts reads a body, otlp-rows.ts
// makes rows of it, and validate.ts refuses them like other rows.

import type { IncomingHttpHeaders } from "node:http";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Body } from "./body.js";
import type { Answer, Asking } from "./opik-routes.js";
import { type ReadAttributes, rowsOf, TraceIds } from "./otlp-rows.js";
import { fromJson, fromProtobuf, type OtlpResource } from "./otlp-wire.js";
import { Refusal } from "./refusal.js";
import { namesOf, type Sender, senderOfResource } from "./senders.js";
import type { Store } from "./store.js";
import { checkRow, type Entity, type Row } from "./validate.js";

const [PROTOBUF, JSON_TYPE] = ["application/x-protobuf", "application/json"];
const ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT is this server's address with /api/v1/private/otel behind it";
/** Of google.rpc.Code. */
const [INVALID_ARGUMENT, UNAVAILABLE] = [3, 14];

/** Takes uploads of OpenTelemetry. */
export class Otlp {
  readonly #store: Store;
  readonly #ids = new TraceIds();
  #read: ReadAttributes | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Loads the reader of attributes, which is nearly as large as the rest of the server. Comes before `answer`. */
  async load(): Promise<void> {
    this.#read ??= (await import("../../generated/attributes.js")).readAttributes;
  }

  /** Stores all spans of an upload, or throws a `Refusal`. */
  answer({ method, path, sender, nowMs }: Asking, headers: IncomingHttpHeaders, body: Body): Answer {
    const [, signal] = /^\/v1\/private\/otel\/v1\/(traces|metrics|logs)$/.exec(path) ?? [];
    if (signal === undefined) throw new Refusal(404, `no such route: ${path}; ${ENDPOINT}`);
    if (method !== "POST") throw new Refusal(405, `${method} is not allowed here`);
    if (signal !== "traces") {
      return { status: 501, json: { code: 501, message: `OpenTelemetry ${signal} ingestion is not yet supported` } };
    }
    const type = typeOf(headers);
    if (type !== PROTOBUF && type !== JSON_TYPE) {
      throw new Refusal(415, `the content-type is neither ${PROTOBUF} nor ${JSON_TYPE}`);
    }
    const resources = type === PROTOBUF ? fromProtobuf(body.bytes) : fromJson(body.text);
    const project = String(headers["projectname"] ?? "").trim() || "Default Project";
    const found = resources.flatMap(({ spans }) => spans);
    const rows = rowsOf(found, project, this.#ids, this.#read!);
    const spans = checked("spans", rows.spans, nowMs);
    const traces = checked("traces", rows.traces, nowMs);
    const names = namesIn(resources, spans, sender);
    this.#store.replace("traces", traces, ({ id }) => names.get(id)!);
    this.#store.replace("spans", spans, ({ id }) => names.get(id)!);
    // ExportTraceServiceResponse without fields: every span is stored.
    return type === PROTOBUF ? protobuf(200, new Uint8Array()) : { status: 200, json: {} };
  }
}

/** The answer of a refusal: a google.rpc.Status, in the type of the request. */
export function answerRefusal(headers: IncomingHttpHeaders, status: number, message: string, details?: string): Answer {
  const code = status < 500 ? INVALID_ARGUMENT : UNAVAILABLE;
  const text = details === undefined ? message : `${message}: ${details}`;
  if (typeOf(headers) !== PROTOBUF) return { status, json: { code, message: text } };
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(code).tag(2, WireType.LengthDelimited).string(text);
  return protobuf(status, writer.finish());
}

function protobuf(status: number, bytes: Uint8Array): Answer {
  return { status, bytes, headers: { "content-type": PROTOBUF } };
}

function typeOf(headers: IncomingHttpHeaders): string | undefined {
  return headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
}

/** The rows, after the checks. OTLP's status for every refused row is 400. */
function checked(entity: Entity, rows: readonly Row[], nowMs: number): Row[] {
  return rows.map((entry, row) => {
    try {
      return checkRow(entity, entry, nowMs);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      throw new Refusal(400, error.message, error.details, { ...error.place, row, entry });
    }
  });
}

/** The senders of spans and of traces by their ids. A trace has the sender of its first root span. */
function namesIn(resources: readonly OtlpResource[], rows: readonly Row[], sender: Sender): Map<unknown, string> {
  const names = new Map<unknown, string>();
  let from = 0;
  for (const { attributes, spans } of resources) {
    const nameOf = namesOf(senderOfResource(attributes, sender));
    const own = rows.slice(from, from + spans.length);
    from += spans.length;
    for (const row of own) {
      names.set(row["id"], nameOf(row));
      if (row["parent_span_id"] === undefined && !names.has(row["trace_id"])) names.set(row["trace_id"], nameOf(row));
    }
  }
  return names;
}
