// Who is compared, in the order of the tables.

import { CALLER } from "./shapes.js";

/** A contender: its file in contenders/, and what it is called. */
export interface Entry {
  readonly file: string;
  readonly name: string;
  /** The package whose version is shown. */
  readonly package?: string;
  /** Whether it hands headers on by itself. */
  readonly headers: boolean;
  /** How the caller names itself to it. */
  readonly caller: { readonly traceId: string; readonly spanId: string };
}

const W3C = { traceId: CALLER.w3cTraceId, spanId: CALLER.w3cSpanId };
const OPIK = { traceId: CALLER.traceId, spanId: CALLER.spanId };

/** What everything is a ratio to. */
export const FLOOR: Entry = { file: "floor", name: "the floor", headers: true, caller: OPIK };

export const CONTENDERS: readonly Entry[] = [
  FLOOR,
  { file: "opik-edge", name: "opik-edge", package: "opik-edge", headers: true, caller: OPIK },
  {
    file: "opentelemetry",
    name: "OpenTelemetry JS",
    package: "@opentelemetry/sdk-trace-base",
    headers: true,
    caller: W3C,
  },
  { file: "langfuse", name: "Langfuse", package: "@langfuse/otel", headers: true, caller: W3C },
  { file: "langsmith", name: "LangSmith", package: "langsmith", headers: true, caller: OPIK },
  { file: "opik", name: "opik (official)", package: "opik", headers: false, caller: OPIK },
];
