// What a client is set to: as the host says it, and as it is once it has been checked (resolve-settings.ts). Types alone, so that
// everybody may have them.

import type { OnDrop, OnError, Reporter } from "./errors.js";
import type { SpanFields } from "./fields.js";

/** `fetch` as the host calls it: with arguments of any type, and as many as it likes. */
export type Fetch<Init = RequestInit> = (input: string | URL | Request, init?: Init) => Promise<Response>;

/** A header's name and value. */
export type HeaderPair = [name: string, value: string];

/**
 * Headers as `Headers`, as a `Request` (or anything else with `headers`), as a plain object or Node's
 * header object (any case, values may be arrays), as a `Map`, or as pairs.
 */
export type HeaderCarrier =
  | Iterable<readonly [string, unknown]>
  | {
      /** In any of these shapes. */
      readonly headers: HeaderCarrier;
    }
  | {
      /** Gives the value of a header, whose name is asked for in lower case. */
      readonly get: (name: string) => string | null | undefined;
    }
  | { readonly [name: string]: unknown };

/** Headers that can be injected into: changed in place where they can be. */
export type HeaderTarget = Headers | Record<string, string>;

/**
 * How header names are written. `both` is what survives most servers: gunicorn, Werkzeug, waitress and
 * nginx drop names with underscores. One spelling is for a server that joins the two into `v,v`.
 */
export type HeaderSpelling = "both" | "underscore" | "hyphen";

/**
 * A target of outgoing calls: an exact origin (`https://api.example.com`), every host below a suffix (`*.example.com` by https,
 * `http://*.example.com` by plain http, of any port unless it names one), or a function of the parsed URL; or one of these with
 * the spelling it is given.
 */
export type PropagateTo =
  | TargetMatch
  | {
      /** The target. */
      readonly to: TargetMatch;
      /** What it is given (default `both`). */
      readonly spelling?: HeaderSpelling | undefined;
    };
/** A target without a spelling. */
export type TargetMatch = string | ((url: URL) => boolean);

/** What to take out of everything that is recorded. */
export interface RedactOptions {
  /** Members whose value is masked whole: names in any case, or patterns of names. */
  readonly keys?: readonly (string | RegExp)[] | undefined;
  /**
   * What is masked wherever it occurs in a text. It is run on whatever callers send, in the midst of their requests: its time has
   * to grow with the text's length and no faster.
   */
  readonly patterns?: readonly RegExp[] | undefined;
  /** Gives what is written in place of a value; `key` is the member's name, or the field's (`input`, `error`, …). */
  readonly replace?: ((value: unknown, key: string) => unknown) | undefined;
}

/** Gives what is written in place of a value. */
export type Redact = (value: unknown, key: string) => unknown;

/** A token, or where to get one that is still good. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>);

/** Carries requests to Opik, as a service binding does (Cloudflare's `Fetcher`). */
export interface Transport {
  /** Answers like `fetch`: 2xx means that the rows are kept, every other status what it means in HTTP. */
  fetch(url: string, init: TransportRequest): Promise<Response>;
  /** The longest body that it takes, in bytes; at least 32768, by default 4 MB. Rows are cut to fit. */
  readonly maxBodyBytes?: number | undefined;
  /** Whether bodies of 1 MB and more are compressed with gzip (default `false`): a fifth of the bytes for some ten times the CPU time. */
  readonly compress?: boolean | undefined;
  /** Whether it carries rows to somebody who sends them on, and so no `PATCH` (default `false`): as a relay and a queue do. */
  readonly appendsOnly?: boolean | undefined;
  /** How far this clock is behind the receiver's, in ms, where that is known, a finite number: traces begin at the receiver's time. */
  readonly clockOffsetMs?: number | undefined;
}

/** An upload as a request. */
export interface TransportRequest {
  /** `PUT` for scores, `PATCH` for a row that is completed. */
  readonly method: "POST" | "PUT" | "PATCH";
  /** With the key in `authorization`. */
  readonly headers: [name: string, value: string][];
  /**
   * `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}`, of a `PATCH` the fields of the row that its URL names; gzip-compressed when
   * the headers say so.
   */
  readonly body: Uint8Array<ArrayBuffer>;
  /** For a page's relay: what is sent beside the rows. */
  readonly envelope?:
    | {
        /** The token that the rows were recorded with. */
        readonly token: string | undefined;
        /** By which the relay knows their ids for those of the page, in base64url. */
        readonly secret: string | undefined;
      }
    | undefined;
  /** A redirect is never followed: some runtimes carry `authorization` to another origin. */
  readonly redirect: "manual";
  /** Aborted when the attempt has taken too long. */
  readonly signal: AbortSignal;
}

/** A call as an observer is told of it. */
export interface ObservedCall {
  /** In upper case. */
  readonly method: string;
  /** Absolute, and whole: what is in its query may be a secret. */
  readonly url: string;
  /** What a field of a row may take, in bytes (`limits.fieldBytes`): to keep more of the call is of no use. */
  readonly fieldBytes: number;
}

/** An answer as an observer is told of it. */
export interface ObservedAnswer {
  /** 200 to 599. */
  readonly status: number;
  /** The value of one of its headers, whose name may be in any case; `null` where it has none. */
  header(name: string): string | null;
}

/**
 * How a call has come to its end: its answer was read to the end (`done`), its consumer read no further (`stopped`), it was
 * broken off (`cancelled`), it or its answer failed (`failed`), or it was still going on when its invocation ended (`unfinished`).
 */
export type CallEnding = "done" | "stopped" | "cancelled" | "failed" | "unfinished";

/** What is recorded of an observed call, in place of what is recorded of every call: an `error` too, where there was one. */
export interface CallRecord extends SpanFields {
  /** Whether all has come that was to come: then it makes no difference that the consumer stopped, or broke the call off. */
  readonly isComplete?: boolean | undefined;
}

/**
 * Follows one call. Its methods are called in this order, each at once, and none of them once one has thrown, or the call has
 * ended. Only the request's body may come later, among the chunks: where it has to be read out of a `Request`.
 */
export interface CallObservation {
  /**
   * Whether the target is somebody else's, who has no use for trace headers: then it is given none, unless `propagateTo` names it
   * or the call says `propagate` (default `false`).
   */
  readonly isForeign?: boolean | undefined;
  /**
   * Told of the request's body, once: a text, bytes as UTF-8, and of a `Request` at most 1 MB; `undefined` where there is none, or
   * it can not be had without a change to the call, as a stream can not. `false` gives the call up: its span is one as of every call.
   * A text is sent in place of a text in `init`, and counts for nothing in place of any other body: it is a change to the host's call,
   * for those who have asked for it.
   */
  request?(body: string | undefined): boolean | string | undefined;
  /** Told of the answer, when it begins. */
  answer?(answer: ObservedAnswer): void;
  /**
   * Told of each chunk of the answer just before its consumer has it, and of how many ms after the beginning of the call that is.
   * The bytes are the consumer's: they are to be copied, or read at once, and not to be changed.
   */
  chunk?(bytes: Uint8Array, ms: number): void;
  /** Gives what is recorded; `undefined` leaves the span as of every call. */
  end(how: CallEnding): CallRecord | undefined;
  /** Told at last, also where nothing else was: of a call that is not recorded, that was given up, or in which it has failed. */
  close?(): void;
}

/** Takes calls of a traced `fetch` and says what is recorded of them: what `callObserver` makes. */
export interface CallObserver {
  /** Called by this package, for each call until one takes it. */
  readonly follow: (call: never) => unknown;
  /** Called by `withOpik` with the `env` of a Worker, whose bindings may make such calls; it must not throw. */
  readonly observeEnv?: ((env: object) => void) | undefined;
}

/** What is traced, and what is given headers. */
export interface InstrumentFetchOptions {
  /** Targets that are given trace headers beside the page's own origin; instead of the client's own setting. */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Targets whose calls are not traced at all. */
  readonly ignore?: readonly TargetMatch[] | undefined;
}

/** What has something to flush before the end. */
export interface Flusher {
  readonly signals: readonly Signal[];
  /** Never rejects. What can not be delivered is kept, unless the end `isLast`. */
  flushAtExit(isLast?: boolean): Promise<void>;
}

/** What has to come to an end. */
export interface Closable {
  /** Ends it and marks it unfinished. */
  close(): void;
}

/** How the end of a process or a page is told of: js/platform/host/. */
export interface HostEnd {
  /** Flushes `flusher` before the end, and when the network is back; gives whether that is new. */
  watch(flusher: Flusher): boolean;
  /** Takes that back. */
  unwatch(flusher: Flusher): void;
  /** Whether `flusher` is flushed before the end. */
  isWatched(flusher: Flusher): boolean;
  /**
   * Closes `item` when `result` is not to be had any more, or the process ends, unless `consumed` says before that it has ended. A
   * further `result` takes the place of the one before: an iterator that of what is iterated, a value that of its promise.
   */
  closeWhenLost(item: Closable, result: object): void;
  /** Says that `item` has ended. */
  consumed(item: Closable): void;
}

/** What processes and pages have and Workers have not, behind the subpath import `#host`. */
export interface Host extends HostEnd {
  /** In a page of the developer's own: says why a traced call to another origin has failed. */
  warnOfCors(url: URL, names: readonly string[], reporter: Reporter): void;
}

/** Signals that end a process and may wait for a flush. */
export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** How much is recorded, in bytes of JSON. What is cut says so in its place, with its original size. */
export interface Limits {
  /** Of one field (4 KB to 3 MB, default 1 MB: longer than any model reads). A single string is cut at half of it. */
  readonly fieldBytes?: number | undefined;
  /** Of one span or trace row (16 KB to 3 MB, default 2 MB: a prompt and its answer). The longest fields go first. */
  readonly spanBytes?: number | undefined;
  /** Of the spans that one trace has here (at least 16 KB, default 6 MB); the fields of further ones are cut short. */
  readonly traceBytes?: number | undefined;
  /**
   * Of what waits to be sent (64 KB to 8 MB, default 8 MB), in the module's memory and once more outside of it. Beyond it the oldest
   * rows are dropped, and counted.
   */
  readonly bufferBytes?: number | undefined;
}

/** Which share of the traces that begin here is recorded, 0 to 1; a function is given the name of the trace's root. */
export type SampleRate = number | ((name: string) => number);

/** Settings of a client. Each falls back to its variable, then to its default. */
export interface OpikConfig {
  /** The raw API key, sent as `Authorization` (`OPIK_API_KEY`). Required on Opik Cloud. */
  readonly apiKey?: string | undefined;
  /** Sent as `Comet-Workspace` (`OPIK_WORKSPACE`, default `default`). */
  readonly workspace?: string | undefined;
  /** The project of every row (`OPIK_PROJECT_NAME`, default `Default Project`). It does not travel with the headers. */
  readonly projectName?: string | undefined;
  /** The base URL of the API, http or https (`OPIK_URL_OVERRIDE`, default Opik Cloud). */
  readonly url?: string | undefined;
  /** The conversation of the traces that begin here and name none (`thread_id`); a function is asked for each. */
  readonly threadId?: string | (() => string | undefined) | undefined;
  /** The environment of every row, at most 150 characters (`OPIK_ENVIRONMENT`, default none). */
  readonly environment?: string | undefined;
  /**
   * A relay of yours that holds the key, for pages: absolute, or as seen from the page. Instead of `url` and `apiKey`. Off a
   * page, as in server-rendered code, such a client is disabled.
   */
  readonly relayUrl?: string | undefined;
  /** What the relay asks for: a token, or where to get one. */
  readonly token?: TokenSource | undefined;
  /** `true` records and sends nothing; the caller's ids still travel on (`OPIK_TRACK_DISABLE`). */
  readonly disabled?: boolean | undefined;
  /**
   * Which targets of `fetch` are given trace headers. Off the browser it narrows (default: every
   * target but the Opik API itself), in a browser it widens (default: the same origin only).
   */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Where OPIK_* variables are read before the process's own: a Worker's `env`. */
  readonly env?: object | undefined;
  /**
   * Which share of the traces that begin here is recorded, 0 to 1 (default 1). Decided from the trace's id; a trace that
   * is not recorded sends no headers. A caller's trace is always followed, so 0 only follows.
   */
  readonly sampleRate?: SampleRate | undefined;
  /** What is masked in everything that is recorded, before it is cut, stored or sent (default nothing). */
  readonly redact?: RedactOptions | undefined;
  /** `false` records no `input` (default `true`). */
  readonly recordInputs?: boolean | undefined;
  /** `false` records no `output` (default `true`). */
  readonly recordOutputs?: boolean | undefined;
  /** What says, instead of us, what is recorded of calls of a traced `fetch`; the first that takes a call has it (default none). */
  readonly observe?: readonly CallObserver[] | undefined;
  /** How much is recorded, and waits to be sent. */
  readonly limits?: Limits | undefined;
  /**
   * How old the id of a trace or span may be when Opik is sent it, in ms (1 hour to 45 days, default 24 hours): its operator's
   * `uuidValidation.window`. What is open for half as long is written early, and what is older at its end is completed.
   */
  readonly maxIdAgeMs?: number | undefined;
  /** What carries the uploads: a service binding, a queue, a test's memory (default the platform's `fetch`). */
  readonly transport?: Transport | undefined;
  /**
   * Whether what is recorded outside any invocation is sent by itself: every 2 s, when there is much of it, and before
   * the process exits or the page is left (default `true` in Node, Deno and Bun, and in a page with a relay, else `false`; a
   * Durable Object may set it).
   */
  readonly background?: boolean | undefined;
  /** Signals that are held up for a flush, and raised again after it (default none). Needs `background`. */
  readonly signals?: readonly Signal[] | undefined;
  /** Told of every kind of misuse once, and of what was not delivered once for each flush (default `console.warn`). */
  readonly onError?: OnError | undefined;
  /** Told of the rows that are lost, once for each reason and flush. */
  readonly onDrop?: OnDrop | undefined;
}

/** Validated settings, with every default filled in. */
export interface Settings {
  /** The headers of an upload. The key is in them and nowhere else: settings are looked at, printed, and held by what is current. */
  readonly requestHeaders: (isCompressed: boolean) => HeaderPair[];
  /** `text` without the key, which a backend may repeat where it refuses it. */
  readonly withoutKey: (text: string) => string;
  readonly workspace: string;
  /** `undefined` where a relay pins it. */
  readonly projectName: string | undefined;
  /** The base URL of the API, or the URL of the relay. */
  readonly url: URL;
  /** `url` as text, for a path to be appended. */
  readonly baseUrl: string;
  /** Names where it sends to, and as whom: with the key. */
  readonly destination: () => string;
  readonly environment: string | undefined;
  readonly threadId: OpikConfig["threadId"];
  /** The project as JSON, as it stands in every row; "" where there is none. */
  readonly projectJson: string;
  /** The environment, likewise. */
  readonly environmentJson: string;
  readonly disabled: boolean;
  readonly propagateTo: readonly PropagateTo[] | undefined;
  readonly sampleRate: SampleRate;
  readonly redact: Redact | undefined;
  readonly recordInputs: boolean;
  readonly recordOutputs: boolean;
  readonly observe: readonly CallObserver[];
  readonly limits: BufferLimits & { readonly traceBytes: number };
  readonly maxIdAgeMs: number;
  readonly transport: Transport;
  /** Whether the process outlives its requests; asked once, since some platforms make up what tells it. */
  readonly isServer: boolean;
  /** In a process: has a client be flushed with the others. */
  readonly enlist: ((client: object) => void) | undefined;
  /** `undefined` in bundles for Workers. */
  readonly host: Host | undefined;
  /** Whether rows and key go where others may read them. */
  readonly isInsecure: boolean;
  readonly background: boolean;
  readonly signals: readonly Signal[];
  /** A sentence for each setting of no known name. */
  readonly unknown: readonly string[];
}

/** How much a buffer takes, in bytes; the core bounds them to what is possible. */
export interface BufferLimits {
  readonly bufferBytes: number;
  readonly batchBytes: number;
  readonly rowBytes: number;
  readonly fieldBytes: number;
}
