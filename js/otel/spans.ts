// Opens a span of Opik when a span of OpenTelemetry begins, and closes it when that ends, or both at once if it comes when it has
// ended. Mints ids for the time at which the span began, and remembers them by OpenTelemetry's ids. Next: fields.ts.

import { currentScope } from "../current.js";
import { readOption } from "../errors.js";
import { type Names, tellUnknown } from "../names.js";
import { scopeOf } from "../opik.js";
import { environment } from "../platform/env.js";
import { idTime } from "../platform/ids.js";
import type { Frame } from "../record/frame.js";
import type { OpenScope, OpenTrace, Span, SpanOptions } from "../record/model.js";
import { SpanHandle } from "../record/span.js";
import { originOf, TraceHandle, type TraceOrigin } from "../record/trace.js";
import { fieldsOf } from "./fields.js";
import type { OtelApi, OtelSpan } from "./model.js";
import { isCollector } from "./otlp.js";

/** Options of `opikSpanProcessor` and `opikSpanExporter`. */
export interface OtelOptions {
  /** The client that records spans outside of a span of this package (default: a client made from the `OPIK_*` variables). */
  readonly client?:
    | {
        /** `Opik.flush`. */
        flush(): Promise<unknown>;
      }
    | undefined;
}

const OPTIONS: Names<OtelOptions> = { client: 0 };

/** Number of spans that are certainly remembered, for children that come after them. Up to twice as many may be. */
const REMEMBERED = 5000;

/** A span of OpenTelemetry. */
interface Known {
  readonly id: string;
  /** `undefined` if neither the span nor anything below it is recorded. */
  readonly trace: OpenTrace | undefined;
  /** `undefined` if only a child of it has come. */
  readonly span?: SpanHandle;
  /** Our current span at its beginning. A later one is below it. */
  readonly ambient?: Span | undefined;
}

/** Stands for spans of our uploads, and below them. */
const IGNORED: Known = { id: "", trace: undefined };

/** The trace of spans whose parent has not come. */
interface Pending {
  readonly origin: TraceOrigin;
  /** `true` if a root has come. A further root begins another trace. */
  isTaken: boolean;
  /** The thread that they name. */
  threadId?: SpanOptions["threadId"];
}

const API = Symbol.for("opentelemetry.js.api.1");
/** The key of the active span in a context (@opentelemetry/api, trace/context-utils.ts). */
const ACTIVE = Symbol.for("OpenTelemetry Context Key SPAN");

/** Records spans of OpenTelemetry. None of its methods throws. */
export class SpanRecorder {
  readonly #client: object | undefined;
  readonly #known = new Recent<Known>();
  /** The spans of invocations, which hold what the platform handed down: they are forgotten together. */
  readonly #knownOf = new WeakMap<OpenScope, Recent<Known>>();
  readonly #pending = new Recent<Pending>();
  /** Open spans. */
  readonly #open = new WeakMap<object, SpanHandle>();

  constructor(options: OtelOptions | undefined, what: string) {
    tellUnknown(undefined, options, `option of ${what}`, OPTIONS);
    this.#client = readOption(options, "client");
  }

  /**
   * Opens a span for `given`, which begins inside `frame`. `mayCome` is `true` if spans come when they have ended, so that a parent
   * comes after its children.
   */
  begin(given: OtelSpan, frame: Frame | undefined, mayCome: boolean): void {
    this.#safely(() => this.#begin(given, frame, mayCome));
  }

  /** Ends the span of `given`. */
  end(given: OtelSpan): void {
    this.#safely(() => {
      const span = this.#open.get(given);
      const row = span?.openRow;
      this.#open.delete(given);
      if (!span || !row) return;
      const { trace } = span;
      try {
        const endMs = msOf(given.endTime) + trace.clockOffsetMs;
        span.beforeEnd = () => endMs;
        const { threadId, ...fields } = fieldsOf(given, span, trace.scope);
        row.merge(fields);
        if (threadId !== undefined) {
          const pending = this.#pending.get(given.spanContext().traceId);
          if (!trace.joined) trace.update({ threadId });
          else if (pending?.origin.id === trace.id) pending.threadId = threadId;
        }
      } finally {
        span.finish();
      }
    });
  }

  /** The context of the span that is active for OpenTelemetry, if it began inside `frame`; else `frame`. */
  inside(frame: Frame | undefined): Frame | undefined {
    try {
      const { context } = (globalThis as { [API]?: OtelApi })[API] ?? {};
      const active = context?.active().getValue(ACTIVE) as OtelSpan | undefined;
      const { span, ambient } = (active && this.#find(active.spanContext().spanId, frame)) ?? {};
      return span && ambient === frame?.span ? { scope: span.trace.scope, trace: span.trace, span } : frame;
    } catch {
      return frame; // another version of the API
    }
  }

  #begin(given: OtelSpan, frame: Frame | undefined, mayCome: boolean): void {
    const { traceId, spanId, traceFlags } = given.spanContext();
    if ((traceFlags & 1) === 0) return; // not sampled
    const { name, attributes, parentSpanContext: parent } = given;
    const above = parent && this.#find(parent.spanId, frame);
    const scope = frame?.scope ?? above?.trace?.scope ?? this.#scope();
    if ((above && !above.trace) || isUpload(attributes, scope)) {
      this.#memory(scope).set(spanId, IGNORED);
      return;
    }
    const beganMs = msOf(given.startTime);
    const ambient = frame?.span;
    const stated = statedIds(attributes);
    const carrier = stated ?? (above || ambient ? undefined : memberOf(parent));
    const mayFollow = mayCome && parent !== undefined && !parent.isRemote;
    let trace: OpenTrace;
    let parentId: string;
    let isRoot = false;
    if (carrier && (stated || !mayFollow)) {
      const origin = originOf(scope, carrier, name, beganMs);
      trace = new TraceHandle(carrier.isWhole ? origin : { ...origin, parentId: "" }, scope, undefined);
      parentId = trace.parentId;
      isRoot = !trace.joined;
    } else if (frame && ambient && ambient !== above?.ambient) {
      // Ours began inside of theirs.
      trace = frame.trace as OpenTrace;
      parentId = ambient.id;
    } else if (above?.trace) {
      trace = above.trace;
      parentId = above.id;
    } else {
      isRoot = !mayFollow;
      const pending = this.#pending.get(traceId);
      const origin = pending && !(isRoot && pending.isTaken) ? pending.origin : originOf(scope, carrier, name, beganMs);
      if (mayCome) this.#pending.set(traceId, { ...pending, origin, isTaken: isRoot || pending?.isTaken === true });
      const startMs = beganMs + origin.clockOffsetMs;
      // Only the root writes the row of the trace. Several handles of one trace must not use one id for their first spans.
      const fields = pending?.origin === origin ? { threadId: pending.threadId } : undefined;
      trace = new TraceHandle({ ...origin, parentId: "", joined: !isRoot, startMs, spanId: undefined }, scope, fields);
      parentId = isRoot || !trace.recording ? "" : trace.mint(startMs);
      if (!isRoot && parent) this.#memory(scope).set(parent.spanId, { id: parentId, trace });
    }
    const statedId = `${attributes["opik.span_id"]}`;
    const id = idTime(statedId) === undefined ? this.#find(spanId, frame)?.id : statedId;
    const metadata = isRoot
      ? { "w3c.trace_id": traceId, ...(parent && { "w3c.parent_id": parent.spanId }) }
      : undefined;
    const startMs = beganMs + trace.clockOffsetMs;
    const span = new SpanHandle(trace, parentId, { name, metadata }, isRoot, { startMs, id });
    this.#open.set(given, span);
    this.#memory(trace.scope).set(spanId, { id: span.id, trace, span, ambient });
  }

  #find(spanId: string, frame: Frame | undefined): Known | undefined {
    return (frame && this.#memory(frame.scope).get(spanId)) ?? this.#known.get(spanId);
  }

  #memory(scope: OpenScope): Recent<Known> {
    if (scope.outlivesCalls) return this.#known;
    const found = this.#knownOf.get(scope) ?? new Recent<Known>();
    this.#knownOf.set(scope, found);
    return found;
  }

  #scope(): OpenScope {
    const own = (this.#client && scopeOf(this.#client)) ?? currentScope(undefined);
    return environment.redirect?.(own) ?? own;
  }

  #safely(record: () => void): void {
    try {
      record();
    } catch (error) {
      this.#scope().reporter.failure(error);
    }
  }
}

/** The values that were set last. */
class Recent<V> {
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  get(key: string): V | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  set(key: string, value: V): void {
    this.#young.set(key, value);
    if (this.#young.size < REMEMBERED) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}

function msOf([seconds, nanos]: OtelSpan["startTime"]): number {
  return seconds * 1000 + Math.floor(nanos / 1e6);
}

/** The ids of a trace to join, as `originOf` takes them. */
interface Carrier {
  readonly opik_trace_id: string;
  readonly opik_parent_span_id: string;
  /** `false` without a parent. */
  readonly isWhole: boolean;
}

/** The ids that attributes state, as Opik's endpoint reads them: a parent counts only beside a trace. */
function statedIds(attributes: OtelSpan["attributes"]): Carrier | undefined {
  const { "opik.trace_id": trace, "opik.parent_span_id": parent } = attributes;
  if (trace === undefined) return undefined;
  return { opik_trace_id: `${trace}`, opik_parent_span_id: `${parent ?? trace}`, isWhole: parent !== undefined };
}

/** The ids in our member of a remote parent's `tracestate`, which all spans below it have. */
function memberOf(parent: OtelSpan["parentSpanContext"]): Carrier | undefined {
  const member = parent?.traceState?.get("opik");
  if (!member || !/^[0-9a-f]{64}$/.test(member)) return undefined;
  return { opik_trace_id: member.slice(0, 32), opik_parent_span_id: member.slice(32), isWhole: true };
}

/** `true` for a call that delivers our rows. Its row would cause another delivery. */
function isUpload(attributes: OtelSpan["attributes"], { settings }: OpenScope): boolean {
  const url = attributes["url.full"] ?? attributes["http.url"];
  return typeof url === "string" && (`${url}/`.startsWith(`${settings.baseUrl}/`) || isCollector(url));
}
