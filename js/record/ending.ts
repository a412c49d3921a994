// The ways in which a span or a watched result can end.

/** Anything that can end in each of these ways. */
export interface Endable {
  /** Ends it. A second call does nothing and does not warn, because results end independently of the host. */
  finish(unfinished?: boolean): void;
  /** Records the thrown value, and ends. */
  fail(error: unknown): void;
  /** Ends because the work was aborted, and records that in the metadata. */
  cancel(): void;
  /** Ends because its consumer stopped reading after `bytes` bytes, and records that in the metadata. */
  stop(bytes: number | undefined): void;
}

/** The end of a stream, an iteration or another result that is consumed step by step. */
export type Ending =
  | { readonly how: "done" }
  /** Its consumer stopped reading; `bytes` counts the bytes read, and is `undefined` if the chunks are not binary. */
  | { readonly how: "stopped"; readonly bytes?: number | undefined }
  /** Its request was aborted. */
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

/** Called once, at the end. */
export type OnEnd = (ending: Ending) => void;

/** Ends `span` in the same way as the result that it waited for. */
export function endSpan(span: Endable, ending: Ending): void {
  if (ending.how === "failed") span.fail(ending.error);
  else if (ending.how === "cancelled") span.cancel();
  else if (ending.how === "stopped") span.stop(ending.bytes);
  else span.finish();
}
