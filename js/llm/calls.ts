// The calls of the reader's instance for one model call: its request, the bytes of its answer, and its result. Each throws an
// `OpikError` (`wasm_trap`) once the instance is dead.

import { type Reader, SEPARATOR, sawCall } from "./reader.js";

/** A call. `target` is a URL, or `binding:` and a Workers AI model; `hosts` lists hosts and their providers, one per line. */
export interface CallText {
  readonly target: string;
  readonly hosts: string;
}

/** The result of opening a call by its target. */
export interface Opened {
  readonly handle: number;
  /** `true` if the target alone identifies a model call. */
  readonly isKnown: boolean;
  /** `true` for a request with several alternatives; the answer names the alternative that was used. */
  readonly isUniversal: boolean;
}

/** The result of a call. Each member is JSON, or "". */
export interface Read {
  readonly name: string;
  readonly model: string;
  readonly provider: string;
  readonly output: string;
  readonly metadata: string;
  readonly usage: string;
  readonly totalEstimatedCost: string;
  readonly errorType: string;
  readonly errorMessage: string;
}

/** Flag: the answer is complete. */
export const COMPLETE = 1;
/** Flag: the call has failed. */
export const FAILED = 2;
/** Flag: the first token has arrived. */
export const FIRST_TOKEN = 4;

/** Opens a call by its target; `undefined` if the target is not a model. */
export function openCall(reader: Reader, { target, hosts }: CallText, fieldBytes: number): Opened | undefined {
  return reader.run((exports) => {
    reader.stage([target, hosts, ""].join(SEPARATOR));
    const handle = exports.open(fieldBytes);
    if (handle === 0) return undefined;
    sawCall();
    const [isKnown, isUniversal] = reader.output();
    return { handle, isKnown: isKnown === "1", isUniversal: isUniversal === "1" };
  });
}

/**
 * Reads the body of a request; of a universal request, the entry `step`. Returns `{messages, …}` as JSON, or "" without
 * messages. `undefined` if the body is not a model call's.
 */
export function readRequest(
  reader: Reader,
  handle: number,
  { target, hosts }: CallText,
  body: string,
  step: number,
): string | undefined {
  return reader.run((exports) => {
    reader.stage([target, hosts, body].join(SEPARATOR));
    return exports.retarget(handle, step) === 0 ? undefined : reader.output()[2];
  });
}

/** Reads the status of the answer (0 without a status) and its headers: name and value on alternating lines. */
export function readAnswer(reader: Reader, handle: number, status: number, headers: string): void {
  reader.run((exports) => exports.answer(handle, status, reader.write(headers).written));
}

/** Reads the next bytes of the answer. Returns the flags `COMPLETE`, `FAILED` and `FIRST_TOKEN`. */
export function readBytes(reader: Reader, handle: number, bytes: Uint8Array): number {
  return reader.run((exports) => {
    let scratch = reader.scratch();
    if (bytes.length <= scratch.length) {
      scratch.set(bytes);
      return exports.push(handle, bytes.length);
    }
    let flags = 0;
    for (let at = 0; at < bytes.length; at += scratch.length) {
      scratch = reader.scratch();
      const piece = bytes.subarray(at, at + scratch.length);
      scratch.set(piece);
      flags = exports.push(handle, piece.length);
    }
    return flags;
  });
}

/** Ends a call and returns its result. */
export function finishCall(reader: Reader, handle: number): Read | undefined {
  return reader.run((exports) => {
    if (exports.finish(handle) === 0) return undefined;
    const [name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage] =
      reader.output() as [string, string, string, string, string, string, string, string, string];
    return { name, model, provider, output, metadata, usage, totalEstimatedCost, errorType, errorMessage };
  });
}

/** Ends a call without a result. */
export function abandonCall(reader: Reader, handle: number): void {
  if (reader.isLive) reader.run((exports) => exports.abandon(handle));
}
