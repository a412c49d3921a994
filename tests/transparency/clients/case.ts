// What a host does with a client, what it sees of it, and what is to be recorded: the words that the programs and the test share.

import type { Behaviour } from "./server.js";

/** How a host is traced. */
export const MODES = ["plain", "opik.fetch", "span.fetch", "fetch", "opik.track", "opik.span", "both"] as const;
export type Mode = (typeof MODES)[number];

/** Whether the calls of a client are traced in this mode. */
export const tracesCalls = (mode: Mode): boolean => mode.endsWith("fetch") || mode === "both";
/** Whether the functions of the host are. */
export const tracesFunctions = (mode: Mode): boolean =>
  mode === "opik.track" || mode === "opik.span" || mode === "both";

/** What a host has at hand. */
export interface Host {
  /** The platform's `fetch`, or a traced one, detached from what it belongs to. */
  readonly fetch: typeof globalThis.fetch;
  /** Calls `fn`, or `fn` in a span. */
  readonly call: <T>(fn: () => T) => T;
  /** The root of the server that behaves so. */
  readonly url: (behaviour: Behaviour) => string;
  /** Waits until so many requests have been made, and whatever follows from their answers has happened. */
  readonly until: (requests: number) => Promise<void>;
  /** Has the server close the connections of what it is still answering. */
  readonly breakOff: () => Promise<void>;
  /** Gives what follows from promises and timers that are due the time to happen. */
  readonly turns: () => Promise<void>;
  /** Collects garbage, and lets a registry tell of it. In workerd nothing is collected: there a call has an end of its own. */
  readonly collect: () => Promise<void>;
  /** Notes that something has happened. */
  readonly saw: (what: string, value?: unknown) => void;
}

/**
 * How a span ends: `done`, `error`, `cancelled` (the host broke it off), `stopped` (the host read no further), `unfinished`
 * (nobody has seen its end), or `read`: all bytes were read, whether or not the client has looked for the end behind them.
 */
export type Ending = "done" | "error" | "cancelled" | "stopped" | "unfinished" | "read";

/** Something that a host does with a client. */
export interface Case {
  /** What it does. What it returns, and what it throws, is its outcome. */
  readonly run: (host: Host) => unknown;
  /** Of each request, in order: its status, 0 where there is none, and how its span ends. `|` means either. */
  readonly calls?: readonly string[];
  /** How the span of each `host.call` ends. `|` means either. */
  readonly spans?: readonly string[];
  /** How many answers the host leaves before their end. */
  readonly hangUps?: number;
  /** The host does not survive it: it is run in a process of its own, which ends as it does. */
  readonly crashes?: boolean;
}

export type Cases = Readonly<Record<string, Case>>;

/** What a host saw. */
export interface Outcome {
  readonly returned?: unknown;
  readonly threw?: unknown;
  readonly saw: readonly unknown[];
  readonly unhandled: readonly unknown[];
}

/** The name of a run: one case in one mode. */
export const runName = (client: string, index: number, mode: Mode): string =>
  `${client}-${index}-${mode.replace(".", "-")}`;

/** How a program is run. */
export interface Job {
  readonly client: string;
  /** Where the providers are. */
  readonly url: string;
  /** Where nobody listens. */
  readonly nowhere: string;
  /** Where rows go. */
  readonly collector: string;
  /** Only the case with this index, in this mode. */
  readonly only?: { readonly index: number; readonly mode: Mode };
  /** The third of what is tried that is tried here, counted from any number; by default all is. */
  readonly part?: number | undefined;
}

const PARTS = 3;

/** Whether something that is one of many is tried in a job. */
export const isTried = ({ part }: Job, at: number): boolean => part === undefined || (at + part) % PARTS === 0;

/** The modes in which a job runs the case with an index. */
export const modesOf = (job: Job, index: number): readonly Mode[] =>
  job.only ? [job.only.mode] : MODES.filter((mode, at) => mode === "plain" || isTried(job, index + at));
