// The interface of a contender: one tracer, used as its documentation says.

import type { Shape } from "./shapes.js";

/** Where every contender delivers to; nobody listens there: see sink.ts. */
export const SINK_URL = "https://sink.test/api";

/** A span as it arrived in the sink, whatever the contender's format. */
export interface Delivered {
  readonly id: string;
  readonly traceId: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly input: unknown;
  readonly output: unknown;
}

/** A body as it arrived in the sink. */
export interface Received {
  readonly url: string;
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A tracer in the harness. */
export interface Contender {
  /** Serves one request of that shape under the caller's span, and resolves when the sink has all of its spans. */
  request(shape: Shape): Promise<void>;
  /**
   * Takes the caller's ids out of its headers, opens a span under its span, and gives the headers for the next service. Nothing
   * is recorded. Missing where nothing is handed on.
   */
  headers?(): Record<string, string>;
  /** The spans that the sink received; `undefined` for a contender that sends nothing. */
  read: ((received: readonly Received[]) => Delivered[] | Promise<Delivered[]>) | undefined;
}
