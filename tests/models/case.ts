// Types of the cases: a host's use of an SDK, the answers it gets, and the spans expected of it. Shared by the programs and the test.

/** Ways to trace a host: untraced, through a `fetch` that it passes to the SDK, or with the global `fetch` instrumented. */
export const MODES = ["plain", "fetch", "instrumented"] as const;
export type Mode = (typeof MODES)[number];

/** Everything that a host can use. */
export interface Host {
  /** Options for an SDK that takes a `fetch`. If `fetch` is missing, the SDK uses the platform's. */
  readonly given: { readonly fetch?: typeof globalThis.fetch };
  /** URL at which a host reaches the server as its own, without a provider's name. */
  readonly own: string;
  /** Notes an event. */
  readonly saw: (what: string, value?: unknown) => void;
}

/**
 * The answer to a call: a whole fixture, named `FILE: NAME`, or its first parts. After the parts nothing comes until the caller has
 * left.
 */
export type Answer = string | { readonly of: string; readonly parts: number };

/** Stands for any value in `Expected`. */
export const ANY = "any";

/** The expected span of a call. Missing members default to the fixture's, and `input` to a user's "Hi". */
export interface Expected {
  readonly provider?: string;
  readonly model?: string;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly usage?: unknown;
  readonly total_estimated_cost?: number | null;
  readonly error_type?: string | null;
  readonly error_message?: string | null;
  /** The members of the metadata to compare. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** The way in which an incomplete call ends; `|` separates alternatives. */
  readonly ending?: string;
  /** `true` if the request carries trace headers. Requests to third parties must not. */
  readonly isJoined?: boolean;
  /** `true` if a time to the first token is recorded. */
  readonly has_first_token?: boolean;
}

/** One use of an SDK. */
export interface Case {
  /** One answer per request, in order. */
  readonly answers: readonly Answer[];
  /** Runs the case. Its outcome is the value that it returns or throws. */
  readonly run: (host: Host) => unknown;
  /** Expectations for each request, in order. */
  readonly spans?: readonly Expected[];
}

/** An SDK and its cases. */
export interface Sdk {
  /** The SDK always calls the global `fetch`. */
  readonly takesNoFetch?: true;
  /** Expectations for every span of the SDK. A case can override them. */
  readonly spans: Expected;
  readonly cases: Readonly<Record<string, Case>>;
}

/** The task of a program. */
export interface Job {
  /** The server of the models, as `http://127.0.0.1:PORT`. */
  readonly models: string;
  /** URL of the collector that receives the rows. */
  readonly collector: string;
  /** The cases to run, as `SDK: CASE`; all by default. */
  readonly only?: readonly string[];
}

/** A request as the server saw it. */
export interface SeenRequest {
  /** Method, host and path. */
  readonly call: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** `true` if a request carried trace headers, which are left out of `headers`. */
export interface Joined {
  readonly isJoined: boolean;
}

/** The result of a case in one mode. */
export interface Run {
  /** Also the name of the span around the case. */
  readonly name: string;
  readonly sdk: string;
  readonly case: string;
  readonly mode: Mode;
  /** The case's outcome as the host saw it. */
  readonly outcome: unknown;
  /** The requests as the server saw them. */
  readonly requests: readonly (SeenRequest & Joined)[];
}

/** The output of a program. */
export interface Told {
  readonly sdks: Readonly<Record<string, Omit<Sdk, "cases"> & { readonly cases: Record<string, Omit<Case, "run">> }>>;
  readonly runs: readonly Run[];
}

/** Collects the items of an async iterable. */
export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** The API key for every provider. */
export const KEY = "sk-never-to-be-recorded";

/** A conversation of one word, and the input recorded for it. */
export const HI = [{ role: "user" as const, content: "Hi" }];
export const SAID_HI = { messages: HI };

/** The modes in which an SDK is run. */
export const modesOf = ({ takesNoFetch }: Pick<Sdk, "takesNoFetch">): readonly Mode[] =>
  MODES.filter((mode) => mode !== "fetch" || !takesNoFetch);

/** Begins the program's line of results, because SDKs print other lines. */
export const MARK = "\u0001told ";
