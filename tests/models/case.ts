// What a host does with an SDK, what it is answered, and what its spans are to have: the words that the programs and the test share.

/** How a host is traced: not at all, by a `fetch` that it hands over, or with nothing handed over. */
export const MODES = ["plain", "fetch", "instrumented"] as const;
export type Mode = (typeof MODES)[number];

/** What a host has at hand. */
export interface Host {
  /** For an SDK that takes a `fetch`. Without one it takes the platform's. */
  readonly given: { readonly fetch?: typeof globalThis.fetch };
  /** Where the server can be called as a server of one's own. */
  readonly own: string;
  /** Notes that something has happened. */
  readonly saw: (what: string, value?: unknown) => void;
}

/** What a call is answered: `FILE: NAME` of a fixture, whole, or its first parts, after which nothing comes until the caller has gone. */
export type Answer = string | { readonly of: string; readonly parts: number };

/** An expected value that is not looked at. */
export const ANY = "any";

/** What the span of a call has. What is not named here is as the fixture says, and the input a user's "Hi". */
export interface Expected {
  readonly provider?: string;
  readonly model?: string;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly usage?: unknown;
  readonly total_estimated_cost?: number | null;
  readonly error_type?: string | null;
  readonly error_message?: string | null;
  /** Of the metadata what is named. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** How the call ends, where it does not come to its end; `|` means either. */
  readonly ending?: string;
  /** Whether the server is told of the trace: not somebody else's. */
  readonly isJoined?: boolean;
  /** Whether a time to the first token is recorded. */
  readonly has_first_token?: boolean;
}

/** Something that a host does with an SDK. */
export interface Case {
  /** One for each request, in order. */
  readonly answers: readonly Answer[];
  /** Does it. What it returns, and what it throws, is its outcome. */
  readonly run: (host: Host) => unknown;
  /** Of each request. */
  readonly spans?: readonly Expected[];
}

/** Of one SDK. */
export interface Sdk {
  /** It calls the global `fetch` and no other. */
  readonly takesNoFetch?: true;
  /** What holds for all its spans, unless a case says otherwise. */
  readonly spans: Expected;
  readonly cases: Readonly<Record<string, Case>>;
}

/** Where a program finds the others. */
export interface Job {
  /** The server of the models, as `http://127.0.0.1:PORT`. */
  readonly models: string;
  /** Where rows go. */
  readonly collector: string;
  /** `SDK: CASE` of those that are tried; all are without. */
  readonly only?: readonly string[];
}

/** A request as the server saw it. */
export interface SeenRequest {
  /** Method, host and path. */
  readonly call: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Whether a request carried trace headers, which are not among its others. */
export interface Joined {
  readonly isJoined: boolean;
}

/** What became of a case in a mode. */
export interface Run {
  /** The name of the span around it, too. */
  readonly name: string;
  readonly sdk: string;
  readonly case: string;
  readonly mode: Mode;
  /** What the host saw. */
  readonly outcome: unknown;
  /** What the server saw. */
  readonly requests: readonly (SeenRequest & Joined)[];
}

/** What a program tells. */
export interface Told {
  readonly sdks: Readonly<Record<string, Omit<Sdk, "cases"> & { readonly cases: Record<string, Omit<Case, "run">> }>>;
  readonly runs: readonly Run[];
}

/** All that an async iterable gives. */
export async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of iterable) items.push(item);
  return items;
}

/** The secret of all providers. */
export const KEY = "sk-never-to-be-recorded";

/** A conversation of one word, and the input that is recorded of it. */
export const HI = [{ role: "user" as const, content: "Hi" }];
export const SAID_HI = { messages: HI };

/** How an SDK is tried. */
export const modesOf = ({ takesNoFetch }: Pick<Sdk, "takesNoFetch">): readonly Mode[] =>
  MODES.filter((mode) => mode !== "fetch" || !takesNoFetch);

/** The line of a program that has something to tell begins so: SDKs print what they like. */
export const MARK = "\u0001told ";
