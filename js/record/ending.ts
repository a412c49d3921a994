// How what was begun comes to its end.

/** What can end in each of these ways. */
export interface Endable {
  /** Ends unless it has ended: without a word, for what ends by itself. */
  finish(unfinished?: boolean): void;
  /** Records what was thrown, and ends. */
  fail(error: unknown): void;
  /** Ends because it was broken off, and says so in the metadata. */
  cancel(): void;
  /** Ends because its consumer stopped reading after `bytes` bytes, and says so in the metadata. */
  stop(bytes: number | undefined): void;
}

/** How something that is consumed bit by bit came to its end. */
export type Ending =
  | { readonly how: "done" }
  /** Its consumer read no further; `bytes` is how much it has read, `undefined` of what is no bytes. */
  | { readonly how: "stopped"; readonly bytes?: number | undefined }
  /** The request that it belongs to was broken off. */
  | { readonly how: "cancelled" }
  | { readonly how: "failed"; readonly error: unknown };

/** Called once, at the end. */
export type OnEnd = (ending: Ending) => void;

/** Ends `span` as what it waited for has ended. */
export function endSpan(span: Endable, ending: Ending): void {
  if (ending.how === "failed") span.fail(ending.error);
  else if (ending.how === "cancelled") span.cancel();
  else if (ending.how === "stopped") span.stop(ending.bytes);
  else span.finish();
}
