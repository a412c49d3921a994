// Reads an ExportTraceServiceRequest of OTLP, in protobuf and in JSON. One table has the numbers and the names of the
// fields, so both yield the same spans. Fields outside the table are ignored. Next in the flow: otlp-rows.ts.

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { parseJson } from "./body.js";
import { Refusal } from "./refusal.js";

/** The spans of one resource. */
export interface OtlpResource {
  readonly attributes: Attributes;
  readonly spans: readonly OtlpSpan[];
}

/** A span. */
export interface OtlpSpan {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** The same; `undefined` for a root span. */
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** In µs since 1970. */
  readonly start: number;
  /** The same; `undefined` for a span that has not ended. */
  readonly end: number | undefined;
  readonly attributes: Attributes;
  readonly events: readonly OtlpEvent[];
  readonly status: { readonly isError: boolean; readonly message: string };
}

/** An event of a span. */
export interface OtlpEvent {
  readonly name: string;
  /** In µs since 1970. */
  readonly at: number;
  readonly attributes: Attributes;
}

/** Values fit into JSON: bytes are base64, and integers beyond 2^53, infinities and NaN are texts. */
export type Attributes = Readonly<Record<string, unknown>>;

/** Messages are nested no deeper: protobuf's own limit. */
const MAX_DEPTH = 100;
/** An empty message takes two bytes in the body, and a hundred times as much in memory. */
const MAX_MESSAGES = 2_000_000;
const STATUS_ERROR = 2;

type Scalar = "hex" | "text" | "nanos" | "int" | "double" | "bool" | "bytes" | "enum";
type Message = keyof typeof MESSAGES;
/** The name in JSON, the type, and whether there is a list of them. */
type Field = readonly [name: string, type: string, isList?: "list"];
/** Fields that are there, by their names in JSON. */
type Fields = Record<string, unknown>;

/** opentelemetry-proto 1.x: collector/trace/v1, trace/v1, resource/v1, common/v1. */
const MESSAGES = {
  Request: { 1: ["resourceSpans", "ResourceSpans", "list"] },
  ResourceSpans: { 1: ["resource", "Resource"], 2: ["scopeSpans", "ScopeSpans", "list"] },
  Resource: { 1: ["attributes", "KeyValue", "list"] },
  ScopeSpans: { 2: ["spans", "Span", "list"] },
  Span: {
    1: ["traceId", "hex"],
    2: ["spanId", "hex"],
    4: ["parentSpanId", "hex"],
    5: ["name", "text"],
    7: ["startTimeUnixNano", "nanos"],
    8: ["endTimeUnixNano", "nanos"],
    9: ["attributes", "KeyValue", "list"],
    11: ["events", "Event", "list"],
    15: ["status", "Status"],
  },
  Event: { 1: ["timeUnixNano", "nanos"], 2: ["name", "text"], 3: ["attributes", "KeyValue", "list"] },
  Status: { 2: ["message", "text"], 3: ["code", "enum"] },
  KeyValue: { 1: ["key", "text"], 2: ["value", "AnyValue"] },
  AnyValue: {
    1: ["stringValue", "text"],
    2: ["boolValue", "bool"],
    3: ["intValue", "int"],
    4: ["doubleValue", "double"],
    5: ["arrayValue", "ArrayValue"],
    6: ["kvlistValue", "KeyValueList"],
    7: ["bytesValue", "bytes"],
  },
  ArrayValue: { 1: ["values", "AnyValue", "list"] },
  KeyValueList: { 1: ["values", "KeyValue", "list"] },
} as const satisfies Record<string, Record<number, Field>>;

/** Reads protobuf. Throws a `Refusal` for anything else. */
export function fromProtobuf(bytes: Uint8Array): OtlpResource[] {
  const reader = new BinaryReader(bytes);
  const count = counter();
  let raw: Fields;
  try {
    raw = readMessage(reader, "Request", bytes.length, 0, count);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(400, `the body is not an ExportTraceServiceRequest: ${(error as Error).message}`);
  }
  return resourcesOf(raw);
}

/** Reads OTLP's JSON. Throws a `Refusal` for anything else. */
export function fromJson(text: string): OtlpResource[] {
  return resourcesOf(checkMessage(parseJson(text), "Request", "", counter()));
}

/** Counts messages, up to the limit. */
function counter(): () => void {
  let left = MAX_MESSAGES;
  return () => {
    left -= 1;
    if (left < 0) throw new Refusal(413, `the body has more than ${MAX_MESSAGES} messages`);
  };
}

const WIRE_TYPES: Record<Scalar, WireType> = {
  hex: WireType.LengthDelimited,
  text: WireType.LengthDelimited,
  bytes: WireType.LengthDelimited,
  nanos: WireType.Bit64,
  double: WireType.Bit64,
  int: WireType.Varint,
  bool: WireType.Varint,
  enum: WireType.Varint,
};

function readMessage(reader: BinaryReader, message: Message, end: number, depth: number, count: () => void): Fields {
  if (depth > MAX_DEPTH) throw new Error(`it is nested more than ${MAX_DEPTH} times`);
  count();
  const fields: Fields = {};
  const known: Record<number, Field> = MESSAGES[message];
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = known[number];
    if (field === undefined) reader.skip(wireType, number);
    else {
      const [name, type, isList] = field;
      const expected = isMessage(type) ? WireType.LengthDelimited : WIRE_TYPES[type as Scalar];
      if (wireType !== expected) throw new Error(`${message}.${name} has the wire type ${wireType}`);
      const value = isMessage(type)
        ? readMessage(reader, type, endOf(reader), depth + 1, count)
        : readScalar(reader, type as Scalar);
      if (isList) {
        fields[name] ??= [];
        (fields[name] as unknown[]).push(value);
      } else fields[name] = value;
    }
    if (reader.pos > end) throw new Error("it is cut off");
  }
  return fields;
}

function endOf(reader: BinaryReader): number {
  const length = reader.uint32();
  return reader.pos + length;
}

function readScalar(reader: BinaryReader, type: Scalar): unknown {
  switch (type) {
    case "hex":
      return bufferOf(reader.bytes()).toString("hex");
    case "bytes":
      return bufferOf(reader.bytes()).toString("base64");
    case "text":
      return reader.string(true);
    case "nanos":
      return microsOf(BigInt(reader.fixed64()));
    case "int":
      return exact(BigInt(reader.int64()));
    case "double":
      return finite(reader.double());
    case "bool":
      return reader.bool();
    case "enum":
      return reader.int32();
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

function checkMessage(value: unknown, message: Message, path: string, count: () => void): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(path, "an object", value);
  count();
  const fields: Fields = {};
  for (const [name, type, isList] of Object.values(MESSAGES[message]) as Field[]) {
    const given = (value as Fields)[name];
    // In JSON, null is the default value.
    if (given === undefined || given === null) continue;
    const at = path === "" ? name : `${path}.${name}`;
    const check = (one: unknown, place: string) =>
      isMessage(type) ? checkMessage(one, type, place, count) : checkScalar(one, type as Scalar, place);
    if (!isList) fields[name] = check(given, at);
    else if (!Array.isArray(given)) throw malformed(at, "a list", given);
    else fields[name] = given.map((one, index) => check(one, `${at}[${index}]`));
  }
  return fields;
}

/** By the JSON mapping of protobuf, except for two rules of OTLP: ids are hex, and enums are integers alone. */
function checkScalar(value: unknown, type: Scalar, path: string): unknown {
  const isInteger = (pattern: RegExp) =>
    typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && pattern.test(value);
  switch (type) {
    case "hex":
      if (typeof value === "string" && /^(?:[0-9a-f]{2})*$/i.test(value)) return value.toLowerCase();
      throw malformed(path, "hex digits", value);
    case "nanos":
      if (isInteger(/^\d{1,20}$/) && isWithin(BigInt(value as string), 0n, 2n ** 64n))
        return microsOf(BigInt(value as string));
      throw malformed(path, "nanoseconds since 1970", value);
    case "int":
      if (isInteger(/^-?\d{1,19}$/) && isWithin(BigInt(value as string), -(2n ** 63n), 2n ** 63n))
        return exact(BigInt(value as string));
      throw malformed(path, "an integer of 64 bits", value);
    case "double":
      if (typeof value === "number") return value;
      if (typeof value === "string" && /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(value)) return finite(Number(value));
      if (value === "NaN" || value === "Infinity" || value === "-Infinity") return value;
      throw malformed(path, "a number", value);
    case "bool":
      if (typeof value === "boolean") return value;
      throw malformed(path, "true or false", value);
    case "enum":
      if (typeof value === "number" && Number.isInteger(value)) return value;
      throw malformed(path, "an integer", value);
    default:
      if (typeof value === "string") return value;
      throw malformed(path, "a text", value);
  }
}

function isWithin(value: bigint, from: bigint, below: bigint): boolean {
  return value >= from && value < below;
}

function isMessage(type: string): type is Message {
  return Object.hasOwn(MESSAGES, type);
}

function malformed(path: string, expected: string, value: unknown): Refusal {
  return new Refusal(400, `${path || "the body"} is not ${expected}`, undefined, { field: path || undefined, value });
}

function microsOf(nanos: bigint): number {
  return Number(nanos / 1000n);
}

function exact(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function finite(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function resourcesOf(request: Fields): OtlpResource[] {
  let row = 0;
  return listOf(request["resourceSpans"]).map(({ resource, scopeSpans }) => ({
    attributes: attributesOf((resource as Fields | undefined)?.["attributes"]),
    spans: listOf(scopeSpans).flatMap(({ spans }) => listOf(spans).map((span) => spanOf(span, row++))),
  }));
}

function spanOf(span: Fields, row: number): OtlpSpan {
  const id = (field: string, digits: number) => {
    const value = textOf(span[field]);
    if (value.length === digits && !/^0*$/.test(value)) return value;
    const what = `${field} is not ${digits} hex digits that are not all zero`;
    throw new Refusal(400, what, undefined, { row, field, value, entry: span });
  };
  const parent = textOf(span["parentSpanId"]);
  const traceId = id("traceId", 32);
  // Some tools name the trace as the parent of its first spans.
  const isRoot = /^0*$/.test(parent) || parent === traceId;
  const status = (span["status"] ?? {}) as Fields;
  return {
    traceId,
    spanId: id("spanId", 16),
    parentSpanId: isRoot ? undefined : id("parentSpanId", 16),
    name: textOf(span["name"]),
    start: numberOf(span["startTimeUnixNano"]),
    end: numberOf(span["endTimeUnixNano"]) || undefined,
    attributes: attributesOf(span["attributes"]),
    events: listOf(span["events"]).map((event) => ({
      name: textOf(event["name"]),
      at: numberOf(event["timeUnixNano"]),
      attributes: attributesOf(event["attributes"]),
    })),
    status: { isError: status["code"] === STATUS_ERROR, message: textOf(status["message"]) },
  };
}

function listOf(value: unknown): Fields[] {
  return (value ?? []) as Fields[];
}

function textOf(value: unknown): string {
  return (value ?? "") as string;
}

function numberOf(value: unknown): number {
  return (value ?? 0) as number;
}

/** A later value of a key replaces an earlier one. */
function attributesOf(list: unknown): Attributes {
  return Object.fromEntries(listOf(list).map(({ key, value }) => [textOf(key), plain((value ?? {}) as Fields)]));
}

/** Recursion ends with the depth of the messages. */
function plain(any: Fields): unknown {
  for (const [name, value] of Object.entries(any)) {
    if (name === "arrayValue") return listOf((value as Fields)["values"]).map(plain);
    return name === "kvlistValue" ? attributesOf((value as Fields)["values"]) : value;
  }
  return null;
}
