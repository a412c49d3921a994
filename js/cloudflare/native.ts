// Cloudflare's own tracing (the setting `native`): each span that is recorded in an invocation gets a native span, its twin, and
// runs inside it. Where AsyncLocalStorage is missing, twins also carry the current span across an `await`. The twin of the root
// is the invocation's own native span, which the platform opens and ends in any case. with-opik.ts makes the scopes.

import type { FlushReport } from "../deliver/report.js";
import { findContextBy, hasAsyncContext } from "../platform/context.js";
import { platformTracing, prepareWaitUntil } from "../platform/wait-until.js";
import { currentFrame } from "../record/frame.js";
import type { Open, OpenSpan } from "../record/model.js";
import { Scope } from "../record/scope.js";
import type { MakeScope, ServerConfig } from "../server/invocation.js";

/** Settings of a Worker. */
export interface WorkerConfig extends ServerConfig {
  /**
   * `true` also runs each span inside a span of Cloudflare's own tracing, with `opik.trace_id` and `opik.span_id` as attributes
   * (default `false`). Cloudflare bills each as an event. Without AsyncLocalStorage, these spans carry the current span across
   * an `await`.
   */
  readonly native?: boolean | undefined;
}

/** The used part of a native span. In another request than its own, each member throws. */
interface NativeSpan {
  /** `false` if Cloudflare does not record this request. */
  readonly isTraced: boolean;
  setAttributes(attributes: Readonly<Record<string, unknown>>): unknown;
  setStatus(status: { readonly code: "error" }): unknown;
  updateName(name: string): unknown;
  end(): void;
}

/** The used part of `ctx.tracing`. The object of one request serves all. */
interface Tracing {
  startSpan(name: string): NativeSpan;
  getActiveSpan(): NativeSpan | undefined;
  /** Older runtimes have a `tracing` without it. */
  withActiveSpan<T>(span: NativeSpan, fn: () => T): T;
}

/** The platform cuts names here, even within a character, in bytes. */
const MAX_NAME_BYTES = 64;
/** Maximum number of requests among which the running one is looked for. */
const MAX_ROOTS = 64;

let tracing: Tracing | undefined;
/** The context inside each twin. */
const frames = new WeakMap<NativeSpan, object>();
/** Twins of the roots of the requests under way, where there is no AsyncLocalStorage. */
let roots: readonly NativeSpan[] = [];

/** `undefined` if the platform refuses. */
function quietly<T>(use: (tracing: Tracing) => T): T | undefined {
  try {
    return use(tracing!);
  } catch {
    return undefined;
  }
}

/** The context after an `await`: of the active native span, or of the root inside a span of the host's, which names no parent. */
function find(): object | undefined {
  const active = quietly((its) => its.getActiveSpan());
  // Only the root of the request that runs can be read.
  return frames.get(active!) ?? frames.get(roots.find((root) => quietly(() => root.isTraced) !== undefined)!);
}

/** Makes the scope of an invocation. With `native` its spans have twins, if the platform records them. */
export const nativeScope: MakeScope = (settings, reporter, masks, given, ctx) => {
  if ((given as WorkerConfig).native) {
    try {
      const { tracing: ofRequest } = ctx as { readonly tracing?: Tracing };
      if (!ofRequest) void prepareWaitUntil();
      const its = ofRequest ?? tracing ?? (platformTracing() as Tracing);
      const own = its.getActiveSpan();
      const isNeeded = !hasAsyncContext();
      if ("withActiveSpan" in its && (isNeeded || own?.isTraced !== false)) {
        tracing = its;
        findContextBy(find);
        // The calls of an object share their native spans. Its `ctx` has no `tracing`.
        if (own && isNeeded && ofRequest) roots = [own, ...roots.slice(0, MAX_ROOTS - 1)];
        return new NativeScope(own, settings, reporter, masks);
      }
    } catch {
      // An older runtime, or a `ctx` that is not the platform's.
    }
  }
  return new Scope(settings, reporter, masks);
};

class NativeScope extends Scope {
  override readonly keepsContext = true;
  /** The native span in which the invocation began. A WebSocket's message begins in none. */
  readonly #own: NativeSpan | undefined;
  /** Twin, row and first name of each open span, by its id. */
  readonly #twins = new Map<string, readonly [NativeSpan, NonNullable<OpenSpan["openRow"]>, name: unknown]>();

  constructor(own: NativeSpan | undefined, ...args: ConstructorParameters<typeof Scope>) {
    super(...args);
    this.#own = own;
  }

  override within<T>({ id }: OpenSpan, fn: () => T, frame: object | undefined = currentFrame()): T {
    const twin = this.#twinOf(id)!;
    let answer = fn;
    // Without a twin of this request, `fn` runs alone.
    quietly((its) =>
      its.withActiveSpan(twin, () => {
        // A span without a twin leaves the root's context in place.
        if (frame && (this.#twins.has(id) || !frames.has(twin))) frames.set(twin, frame);
        try {
          const result = fn();
          answer = () => result;
        } catch (error) {
          answer = () => {
            throw error;
          };
        }
      }),
    );
    return answer();
  }

  override opened(item: Open): void {
    super.opened(item);
    const { id, trace, traceId, parentSpanId, openRow } = item as OpenSpan;
    if (!openRow) return; // a trace
    quietly((its) => {
      const { name } = openRow.fields;
      const start = (): NativeSpan => its.startSpan(this.#shown(name));
      const above = this.#twinOf(parentSpanId);
      const frame = currentFrame();
      // Inside its parent, the active native span may be one of the host's.
      const isInside = frame?.trace === trace && frame.span?.id === parentSpanId;
      const isFirst = above && above === this.#own && !frames.has(above);
      const twin = isFirst ? above : isInside || !above ? start() : its.withActiveSpan(above, start);
      this.#twins.set(id, [twin, openRow, name]);
      twin.setAttributes({ "opik.trace_id": traceId, "opik.span_id": id });
    });
  }

  override ended(item: Open): void {
    super.ended(item);
    const [twin, row, first] = this.#twins.get(item.id) ?? [];
    if (!twin) return;
    this.#twins.delete(item.id);
    const isOwn = twin === this.#own;
    quietly(() => {
      const { name, model, provider, usage, error } = row!.fields;
      if (error !== undefined) twin.setStatus({ code: "error" });
      if (name !== first && !isOwn) twin.updateName(this.#shown(name));
      const { prompt_tokens, completion_tokens } = JSON.parse(JSON.stringify(usage ?? {})); // JavaScript callers may pass null
      twin.setAttributes({
        "gen_ai.request.model": model ?? undefined,
        "gen_ai.provider.name": provider ?? undefined,
        "gen_ai.usage.input_tokens": prompt_tokens,
        "gen_ai.usage.output_tokens": completion_tokens,
      });
    });
    if (!isOwn) quietly(() => twin.end());
  }

  override end(timeoutMs: number): Promise<FlushReport> {
    roots = roots.filter((own) => own !== this.#own); // every search asks all of them
    return super.end(timeoutMs);
  }

  /** The twin of the open span with this id, by default the root's. */
  #twinOf(id: string | undefined): NativeSpan | undefined {
    return this.#twins.get(id!)?.[0] ?? this.#own;
  }

  /** `name` as the native span shows it. */
  #shown(name: unknown): string {
    const { redact } = this.settings;
    const given = name ?? "span"; // JavaScript callers may pass null
    const text = `${redact ? redact(given, "name") : given}`;
    const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_NAME_BYTES));
    return text.slice(0, read); // whole characters
  }
}
