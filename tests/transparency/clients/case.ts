// Types of the cases: a host's use of a client, its observations, and the expected spans. Shared by the programs and the test.

import type { Behaviour } from "./server.js";

/** Ways to trace a host. */
export const MODES = ["plain", "opik.fetch", "span.fetch", "fetch", "opik.track", "opik.span", "both"] as const;
export type Mode = (typeof MODES)[number];

/** `true` if a client's calls are traced in this mode. */
export const tracesCalls = (mode: Mode): boolean => mode.endsWith("fetch") || mode === "both";
/** `true` if the host's functions are traced in this mode. */
export const tracesFunctions = (mode: Mode): boolean =>
  mode === "opik.track" || mode === "opik.span" || mode === "both";

/** Everything that a host can use. */
export interface Host {
  /** The platform's `fetch` or a traced one, called without its object. */
  readonly fetch: typeof globalThis.fetch;
  /** Calls `fn`, or `fn` in a span. */
  readonly call: <T>(fn: () => T) => T;
  /** Base URL of the server with this behaviour. */
  readonly url: (behaviour: Behaviour) => string;
  /** Waits for `requests` requests and for the effects of their answers. */
  readonly until: (requests: number) => Promise<void>;
  /** Makes the server close the connections of unfinished answers. */
  readonly breakOff: () => Promise<void>;
  /** Gives pending promises and due timers time to run. */
  readonly turns: () => Promise<void>;
  /** Collects garbage and lets finalization registries run. Does nothing in workerd, where spans end with the invocation. */
  readonly collect: () => Promise<void>;
  /** Notes an event. */
  readonly saw: (what: string, value?: unknown) => void;
}

/**
 * The ending of a span. `cancelled`: the host aborted it. `stopped`: the host stopped reading. `unfinished`: nobody saw its end.
 * `read`: every byte was read, even if the client did not read on to the end of the stream.
 */
export type Ending = "done" | "error" | "cancelled" | "stopped" | "unfinished" | "read";

/** One use of a client. */
export interface Case {
  /** Runs the case. Its outcome is the value that it returns or throws. */
  readonly run: (host: Host) => unknown;
  /** For each request, in order: its status (0 without a response) and its span's ending. `|` separates alternatives. */
  readonly calls?: readonly string[];
  /** The ending of the span of each `host.call`. `|` separates alternatives. */
  readonly spans?: readonly string[];
  /** Number of answers that the host leaves before their end. */
  readonly hangUps?: number;
  /** `true` if the host's process dies. The case then runs in a separate process. */
  readonly crashes?: boolean;
}

export type Cases = Readonly<Record<string, Case>>;

/** A host's observations. */
export interface Outcome {
  readonly returned?: unknown;
  readonly threw?: unknown;
  readonly saw: readonly unknown[];
  readonly unhandled: readonly unknown[];
}

/** The name of a run: one case in one mode. */
export const runName = (client: string, index: number, mode: Mode): string =>
  `${client}-${index}-${mode.replace(".", "-")}`;

/** Arguments of a program. */
export interface Job {
  readonly client: string;
  /** Base URL of the providers. */
  readonly url: string;
  /** A URL without a listener. */
  readonly nowhere: string;
  /** URL of the collector that receives the rows. */
  readonly collector: string;
  /** Only the case with this index, in this mode. */
  readonly only?: { readonly index: number; readonly mode: Mode };
  /** Selects a third of the runs, by any number; all runs by default. */
  readonly part?: number | undefined;
}

const PARTS = 3;

/** `true` if the job includes the run at position `at`. */
export const isTried = ({ part }: Job, at: number): boolean => part === undefined || (at + part) % PARTS === 0;

/** The modes in which a job runs the case with an index. */
export const modesOf = (job: Job, index: number): readonly Mode[] =>
  job.only ? [job.only.mode] : MODES.filter((mode, at) => mode === "plain" || isTried(job, index + at));
