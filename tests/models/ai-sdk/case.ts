// Types of the cases, and the three versions of the AI SDK as the cases use them.

import type { Answer } from "../case.js";

/** The versions of the AI SDK. */
export const VERSIONS = ["7", "6", "5"] as const;
export type Version = (typeof VERSIONS)[number];

/**
 * How a host runs: without telemetry; with it; with it and a traced `fetch` whose model calls are observed; with the `fetch` of a
 * span; the same without AsyncLocalStorage.
 */
export const MODES = ["plain", "traced", "observed", "by a span", "no context"] as const;
export type Mode = (typeof MODES)[number];

// biome-ignore lint/suspicious/noExplicitAny: the versions differ in types that do not matter here
type Any = any;

/** A version of the AI SDK, with telemetry or without. */
export interface Sdk {
  readonly version: Version;
  /** The module `ai`. */
  readonly ai: Any;
  /** The chat model of OpenAI's provider. */
  readonly chat: Any;
  /** The embedding model of OpenAI's provider. */
  readonly embedding: Any;
  /** The options of a call for telemetry, with further options of it. */
  telemetry(options?: object): object;
  /** A context, which AI SDK 7 takes as runtime context, and the others as metadata. */
  context(context: Readonly<Record<string, unknown>>, options?: object): object;
  /** Notes an event of the host. */
  readonly saw: Note;
  /** Notes an event whose place among the others is a matter of chance. */
  readonly beside: Note;
  /** Resolves when the first answer has begun. */
  readonly answered: Promise<void>;
}

export type Note = (what: string, value?: unknown) => void;

/** Lines of a tree: indentation, type and name; and the tokens, the error and the ending, if there are any. */
export type Tree = readonly string[];

/** One use of the AI SDK. */
export interface Case {
  /** One answer per request, in order. */
  readonly answers: readonly Answer[];
  /** Runs the case. Its outcome is the value that it returns or throws. */
  readonly run: (sdk: Sdk) => unknown;
  /** The trees of AI SDK 7, and of 5 and 6. */
  readonly trees: { readonly 7: Tree; readonly 6: Tree };
  /** `true` if AI SDK 7 makes the model calls outside of the context of their spans. */
  readonly isOutside?: boolean;
}

/** The task of a program. */
export interface Job {
  readonly models: string;
  readonly collector: string;
  /** `true` to run without AsyncLocalStorage. */
  readonly hasNoContext: boolean;
  /** The cases to run; all by default. */
  readonly only?: readonly string[];
}

/** The result of a case. */
export interface Run {
  /** Also the name of the span around it. */
  readonly name: string;
  readonly case: string;
  readonly version: Version;
  readonly mode: Mode;
  readonly outcome: unknown;
  readonly requests: readonly unknown[];
}
