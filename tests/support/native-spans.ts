// The spans of Cloudflare's own tracing in workerd. A second Worker gets them by its `tailStream` and writes them to the console.

const MARK = "opik-edge-tail ";

/** The Worker: the option `streamingTail` of `startWorker`. Numbers of the platform's own attributes are BigInts. */
export const NATIVE_TAIL = `
  const plain = (_, value) => (typeof value === "bigint" ? Number(value) : value);
  const show = (event) => console.log("${MARK}" + JSON.stringify(event, plain));
  export default { tailStream(event) { show(event); return show; } };`;

/** An event of a streaming tail, as far as the tests read it. */
interface TailEvent {
  readonly spanContext: { readonly spanId?: string };
  readonly event: {
    readonly type: string;
    readonly name?: string;
    readonly spanId?: string;
    readonly info?: unknown;
  };
}

/** A native span. The invocation's own is named after its trigger, in brackets. */
export interface NativeSpan {
  readonly id: string;
  name: string;
  readonly parentId: string | undefined;
  readonly attributes: Record<string, unknown>;
  status?: string | undefined;
  isClosed?: boolean;
}

/** Collects native spans from the lines of a console. */
export class NativeSpans {
  readonly #spans = new Map<string, NativeSpan>();
  /** Number of invocations that have ended. */
  ended = 0;

  get all(): NativeSpan[] {
    return [...this.#spans.values()];
  }

  /** The native span of the span with this id in Opik. */
  twinOf(id: unknown): NativeSpan | undefined {
    return this.all.find(({ attributes }) => attributes["opik.span_id"] === id);
  }

  /** Reads a line. Returns `false` if it is another Worker's. */
  read(line: string): boolean {
    if (!line.startsWith(MARK)) return false;
    const { event, spanContext } = JSON.parse(line.slice(MARK.length)) as TailEvent;
    const { type, info } = event;
    if (type === "onset" || type === "spanOpen") {
      const name = type === "onset" ? `(${(info as { type: string }).type})` : event.name!;
      this.#spans.set(event.spanId!, { id: event.spanId!, name, parentId: spanContext.spanId, attributes: {} });
    }
    if (type === "outcome") this.ended += 1;
    const span = this.#spans.get(spanContext.spanId!);
    if (!span) return true;
    if (type === "attributes") {
      for (const { name, value } of info as { name: string; value: unknown }[]) span.attributes[name] = value;
    } else if (type === "spanUpdate") {
      const { status, name } = info as { status?: { code: string }; name?: string };
      if (status) span.status = status.code;
      if (name !== undefined) span.name = name;
    } else if (type === "spanClose" || type === "outcome") span.isClosed = true;
    return true;
  }
}
