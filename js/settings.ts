// The settings of a client, as given by the application and as validated by resolve-settings.ts. Types only, so that every
// module can import them.

import type { OnDrop, OnError, Reporter } from "./errors.js";
import type { SpanFields } from "./fields.js";

/** `fetch` as the application calls it, with any number of arguments of any type. */
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
      /** Headers in any of these shapes. */
      readonly headers: HeaderCarrier;
    }
  | {
      /** Returns the value of a header; the name is in lower case. */
      readonly get: (name: string) => string | null | undefined;
    }
  | { readonly [name: string]: unknown };

/** Headers that trace headers are added to, in place if possible. */
export type HeaderTarget = Headers | Record<string, string>;

/**
 * The spelling of header names. `both` survives most servers: gunicorn, Werkzeug, waitress and nginx drop names with
 * underscores. Choose a single spelling for a server that joins the two values into `v,v`.
 */
export type HeaderSpelling = "both" | "underscore" | "hyphen";

/**
 * A target of outgoing calls: an exact origin (`https://api.example.com`), every host below a suffix, or a function of the parsed
 * URL. `*.example.com` matches https, `http://*.example.com` plain http; both match every port unless they name a port. The object
 * form adds the header spelling for the target.
 */
export type PropagateTo =
  | TargetMatch
  | {
      /** The target to match. */
      readonly to: TargetMatch;
      /** The spelling of its header names (default `both`). */
      readonly spelling?: HeaderSpelling | undefined;
    };
/**
 * A way to pass a trace on: Opik's own headers, W3C Trace Context (`traceparent`, `tracestate`), or Opik's two ids in W3C
 * `baggage`, which Opik's OpenTelemetry processors read.
 */
export type TraceFormat = "opik" | "w3c" | "baggage";
/** A target without a spelling. */
export type TargetMatch = string | ((url: URL) => boolean);

/** Values to mask in everything that is recorded. */
export interface RedactOptions {
  /** Members whose whole value is masked: names in any case, or patterns of names. */
  readonly keys?: readonly (string | RegExp)[] | undefined;
  /**
   * Patterns that are masked wherever they occur in a text. They run on data from callers, during requests, so their time must
   * grow linearly with the text's length.
   */
  readonly patterns?: readonly RegExp[] | undefined;
  /** Returns the replacement for a value; `key` is the name of the member or field (`input`, `error`, …). */
  readonly replace?: ((value: unknown, key: string) => unknown) | undefined;
}

/** Returns the replacement for a value. */
export type Redact = (value: unknown, key: string) => unknown;

/** A token, or a function that returns a valid one. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>);

/** Carries requests to Opik, as a service binding does (Cloudflare's `Fetcher`). */
export interface Transport {
  /** Answers like `fetch`: 2xx means that the rows are accepted; other statuses have their HTTP meaning. */
  fetch(url: string, init: TransportRequest): Promise<Response>;
  /** The longest body that it accepts, in bytes; at least 32768, by default 4 MB. Rows are cut to fit. */
  readonly maxBodyBytes?: number | undefined;
  /** `true` compresses bodies of 1 MB and more with gzip (default `false`): a fifth of the bytes, about ten times the CPU time. */
  readonly compress?: boolean | undefined;
  /** `true` for a transport that forwards rows, as a relay or a queue does, and therefore takes no `PATCH` (default `false`). */
  readonly appendsOnly?: boolean | undefined;
  /** Lag of this clock behind the receiver's, in ms, if known: traces then begin at the receiver's time. Must be finite. */
  readonly clockOffsetMs?: number | undefined;
}

/** An upload as a request. */
export interface TransportRequest {
  /** `PUT` for scores, `PATCH` for a row that is completed. */
  readonly method: "POST" | "PUT" | "PATCH";
  /** Includes the key as `authorization`. */
  readonly headers: [name: string, value: string][];
  /**
   * `{"spans":[…]}`, `{"traces":[…]}` or `{"scores":[…]}`; for a `PATCH`, the fields of the row that the URL names. Compressed with
   * gzip if the headers say that it is.
   */
  readonly body: Uint8Array<ArrayBuffer>;
  /** For a page's relay: values that are sent beside the rows. */
  readonly envelope?:
    | {
        /** The token under which the rows were recorded. */
        readonly token: string | undefined;
        /** Secret by which the relay recognizes the ids of this page, in base64url. */
        readonly secret: string | undefined;
      }
    | undefined;
  /** Redirects are never followed, because some runtimes send `authorization` on to another origin. */
  readonly redirect: "manual";
  /** Aborted when the attempt takes too long. */
  readonly signal: AbortSignal;
}

/** A call, as an observer sees it. */
export interface ObservedCall {
  /** In upper case. */
  readonly method: string;
  /** The complete, absolute URL. Its query may contain secrets. */
  readonly url: string;
  /** The limit of a field in bytes (`limits.fieldBytes`): longer data is cut. */
  readonly fieldBytes: number;
}

/** An answer, as an observer sees it. */
export interface ObservedAnswer {
  /** 200 to 599. */
  readonly status: number;
  /** The value of a header, by its name in any case; `null` if it is missing. */
  header(name: string): string | null;
}

/**
 * The ending of a call. `done`: its answer was read to the end. `stopped`: the consumer stopped reading. `cancelled`: the call
 * was aborted. `failed`: the call or its answer failed. `unfinished`: the call was still going on when its invocation ended.
 */
export type CallEnding = "done" | "stopped" | "cancelled" | "failed" | "unfinished";

/** The record of an observed call, which replaces the default record. It may have an `error`. */
export interface CallRecord extends SpanFields {
  /** `true` if the answer is complete: the call then counts as done even if the consumer stopped reading or aborted it. */
  readonly isComplete?: boolean | undefined;
}

/**
 * Follows one call. Its methods are called in the order below, each as soon as possible, and no longer after one has thrown or
 * the call has ended. One exception: a body that must be read from a `Request` may arrive between the chunks.
 */
export interface CallObservation {
  /**
   * `true` if the target belongs to a third party that has no use for trace headers. It then receives no trace headers, unless
   * `propagateTo` names it or the call sets `propagate` (default `false`).
   */
  readonly isForeign?: boolean | undefined;
  /**
   * Receives the request's body once: text as it is, bytes decoded as UTF-8, and at most 1 MB of a `Request`'s body. The body is
   * `undefined` if it is missing or cannot be read without changing the call, as with a stream. Return `false` to stop observing:
   * the span then gets the default record. Return a text to send it instead of a text in `init`, if the user has asked for that
   * change; other bodies are never replaced.
   */
  request?(body: string | undefined): boolean | string | undefined;
  /** Receives the answer when it begins. */
  answer?(answer: ObservedAnswer): void;
  /**
   * Receives each chunk of the answer just before the consumer does, with the ms since the call began. The bytes belong to the
   * consumer: read them at once or copy them, and do not change them.
   */
  chunk?(bytes: Uint8Array, ms: number): void;
  /** Returns the record of the call; `undefined` keeps the default record. */
  end(how: CallEnding): CallRecord | undefined;
  /** Called last, in every case: also if the call is unrecorded, was given up, or failed. */
  close?(): void;
}

/** Records calls of a traced `fetch` in its own way. Made by `callObserver`. */
export interface CallObserver {
  /** Called by this package for each call, until an observer takes it. */
  readonly follow: (call: never) => unknown;
  /** Called by `withOpik` with a Worker's `env`, whose bindings may make such calls. It must not throw. */
  readonly observeEnv?: ((env: object) => void) | undefined;
}

/** Options of `instrumentFetch`. */
export interface InstrumentFetchOptions {
  /** Targets that receive trace headers, in addition to the page's own origin. Overrides the client's setting. */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /** Targets whose calls are not traced. */
  readonly ignore?: readonly TargetMatch[] | undefined;
}

/** A component that flushes before the process or page ends. */
export interface Flusher {
  readonly signals: readonly Signal[];
  /** Never rejects. Undelivered rows are kept, unless the end `isLast`. */
  flushAtExit(isLast?: boolean): Promise<void>;
}

/** A span, or anything else that must be closed. */
export interface Closable {
  /** Ends it and marks it as unfinished. */
  close(): void;
}

/** Hooks for the end of a process or a page: js/platform/host/. */
export interface HostEnd {
  /** Flushes `flusher` before the end, and when the network is back. Returns `false` if it is watched already. */
  watch(flusher: Flusher): boolean;
  /** Undoes `watch`. */
  unwatch(flusher: Flusher): void;
  /** `true` if `flusher` is flushed before the end. */
  isWatched(flusher: Flusher): boolean;
  /**
   * Closes `item` when `result` is garbage-collected or the process ends, unless `consumed` is called first. A further `result`
   * replaces the previous one: an iterator replaces its iterable, a value its promise.
   */
  closeWhenLost(item: Closable, result: object): void;
  /** Reports that `item` has ended. */
  consumed(item: Closable): void;
}

/** Features of processes and pages that Workers lack: the subpath import `#host`. */
export interface Host extends HostEnd {
  /** In a page on a developer's machine: reports why a traced call to another origin failed. */
  warnOfCors(url: URL, names: readonly string[], reporter: Reporter): void;
}

/** Signals that end a process and may wait for a flush. */
export type Signal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** Limits of recording, in bytes of JSON. A note replaces each cut part and gives the original size. */
export interface Limits {
  /** Per field (4 KB to 3 MB, default 1 MB: longer than any model reads). A single string is cut at half of it. */
  readonly fieldBytes?: number | undefined;
  /** Per row of a span or trace (16 KB to 3 MB, default 2 MB: a prompt and its answer). The longest fields are cut first. */
  readonly spanBytes?: number | undefined;
  /** For all spans of a trace here (at least 16 KB, default 6 MB). Beyond it, fields are cut short. */
  readonly traceBytes?: number | undefined;
  /**
   * For waiting rows (64 KB to 8 MB, default 8 MB), in the module's memory and once more outside of it. Beyond it the oldest rows
   * are dropped and counted.
   */
  readonly bufferBytes?: number | undefined;
}

/** Share of the new traces that is recorded, 0 to 1. A function receives the name of the trace's root. */
export type SampleRate = number | ((name: string) => number);

/** Settings of a client. Each falls back to its variable, then to its default. */
export interface OpikConfig {
  /** The raw API key, sent as `Authorization` (`OPIK_API_KEY`). Required on Opik Cloud. */
  readonly apiKey?: string | undefined;
  /** Sent as `Comet-Workspace` (`OPIK_WORKSPACE`, default `default`). */
  readonly workspace?: string | undefined;
  /** The project of every row (`OPIK_PROJECT_NAME`, default `Default Project`). Trace headers do not carry it. */
  readonly projectName?: string | undefined;
  /**
   * The name of this service, printable ASCII (`OPIK_SERVICE`, default none). Uploads carry it in the header `x-opik-edge`, behind
   * this package's version and the runtime, so that a local viewer can tell services apart; rows do not. `false` sends no such
   * header; pages never send it.
   */
  readonly service?: string | false | undefined;
  /** The base URL of the API, http or https (`OPIK_URL_OVERRIDE`, default Opik Cloud). */
  readonly url?: string | undefined;
  /** The conversation of new traces that name none (`thread_id`). A function is called for each trace. */
  readonly threadId?: string | (() => string | undefined) | undefined;
  /** The environment of every row, at most 150 characters (`OPIK_ENVIRONMENT`, default none). */
  readonly environment?: string | undefined;
  /**
   * For pages: the URL of your relay, which holds the key; absolute or relative to the page. It replaces `url` and `apiKey`.
   * Outside a page, for example in server-rendered code, such a client is disabled.
   */
  readonly relayUrl?: string | undefined;
  /** The token for the relay, or a function that fetches it. */
  readonly token?: TokenSource | undefined;
  /** `true` records and sends nothing; the caller's ids are still passed on (`OPIK_TRACK_DISABLE`). */
  readonly disabled?: boolean | undefined;
  /**
   * Targets of `fetch` that receive trace headers. In a browser the default is the same origin, and this setting adds targets.
   * Elsewhere the default is every target except the Opik API, and this setting restricts them.
   */
  readonly propagateTo?: readonly PropagateTo[] | undefined;
  /**
   * The headers that pass a trace on (default `["opik"]`): `opik`, `w3c`, or both, and `baggage` beside them. With `w3c`,
   * callers' trace contexts are read too. Opik's own headers are always read, and win.
   */
  readonly propagation?: readonly TraceFormat[] | undefined;
  /** Source of the OPIK_* variables that precedes the process's environment: a Worker's `env`. */
  readonly env?: object | undefined;
  /**
   * Share of the new traces that is recorded, 0 to 1 (default 1). The trace's id decides. A trace that is not recorded sends no
   * headers. A caller's trace is always recorded, so 0 records only callers' traces.
   */
  readonly sampleRate?: SampleRate | undefined;
  /** Values to mask in everything that is recorded, before it is cut, stored or sent (default none). */
  readonly redact?: RedactOptions | undefined;
  /** `false` records no `input` (default `true`). */
  readonly recordInputs?: boolean | undefined;
  /** `false` records no `output` (default `true`). */
  readonly recordOutputs?: boolean | undefined;
  /** Observers of calls of a traced `fetch`; the first that takes a call records it (default none). */
  readonly observe?: readonly CallObserver[] | undefined;
  /** Limits of the recorded data and of the buffer. */
  readonly limits?: Limits | undefined;
  /**
   * Maximum age of an id that Opik accepts, in ms (1 hour to 45 days, default 24 hours): its operator's `uuidValidation.window`.
   * A row that stays open for half of it is written early. If it ends after the maximum, that row is completed.
   */
  readonly maxIdAgeMs?: number | undefined;
  /** Carries the uploads: a service binding, a queue, a test's memory (default the platform's `fetch`). */
  readonly transport?: Transport | undefined;
  /**
   * `true` sends rows from outside any invocation automatically: every 2 s, sooner if there are many, and before the process exits
   * or the page is left. Default `true` in Node, Deno and Bun, and in a page with a relay; else `false`. A Durable Object may
   * set it.
   */
  readonly background?: boolean | undefined;
  /** Signals that are delayed for a flush and then raised again (default none). Needs `background`. */
  readonly signals?: readonly Signal[] | undefined;
  /** Receives every kind of misuse once, and undelivered rows once for each flush (default `console.warn`). */
  readonly onError?: OnError | undefined;
  /** Receives the lost rows, once for each reason and flush. */
  readonly onDrop?: OnDrop | undefined;
}

/** Validated settings, with every default filled in. */
export interface Settings {
  /**
   * Makes the headers of an upload. `by` names who recorded its rows, if not this runtime. Only this closure holds the key, because
   * settings are inspected and printed.
   */
  readonly requestHeaders: (isCompressed: boolean, by?: string) => HeaderPair[];
  /** Removes the key from `text`: a backend may repeat the key when it refuses it. */
  readonly withoutKey: (text: string) => string;
  readonly workspace: string;
  /** `undefined` if a relay sets it. */
  readonly projectName: string | undefined;
  /** The base URL of the API, or the URL of the relay. */
  readonly url: URL;
  /** `url` as text, ready for a path to be appended. */
  readonly baseUrl: string;
  /** Identifies the backend, workspace and key that rows go to. The result contains the key. */
  readonly destination: () => string;
  readonly environment: string | undefined;
  readonly threadId: OpikConfig["threadId"];
  /** The project as JSON, as written in every row; "" without a project. */
  readonly projectJson: string;
  /** The environment as JSON, likewise. */
  readonly environmentJson: string;
  readonly disabled: boolean;
  readonly propagateTo: readonly PropagateTo[] | undefined;
  readonly propagation: readonly TraceFormat[];
  /** The headers that are read from callers, in the order of `Incoming`. */
  readonly names: readonly string[];
  readonly sampleRate: SampleRate;
  readonly redact: Redact | undefined;
  readonly recordInputs: boolean;
  readonly recordOutputs: boolean;
  readonly observe: readonly CallObserver[];
  readonly limits: BufferLimits & { readonly traceBytes: number };
  readonly maxIdAgeMs: number;
  readonly transport: Transport;
  /** `true` if the process outlives its requests. Stored, because Node computes the user agent anew for each check. */
  readonly isServer: boolean;
  /** In a process: registers a client, so that `flush` flushes it with the others. */
  readonly enlist: ((client: object) => void) | undefined;
  /** `undefined` in bundles for Workers. */
  readonly host: Host | undefined;
  /** `true` if others may read the rows and the key on their way. */
  readonly isInsecure: boolean;
  readonly background: boolean;
  readonly signals: readonly Signal[];
  /** One sentence for each unknown setting. */
  readonly unknown: readonly string[];
}

/** Capacity of a buffer, in bytes. The core limits the values to the possible range. */
export interface BufferLimits {
  readonly bufferBytes: number;
  readonly batchBytes: number;
  readonly rowBytes: number;
  readonly fieldBytes: number;
}
