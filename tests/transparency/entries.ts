// The ways in which a host reaches a traced `fetch`, as a table.

import { fetch as ambientFetch, callObserver, instrumentFetch, Opik } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";
import { type Columns, Lacks } from "./table.js";

/** Makes a call with these arguments. */
export type Call = (args: unknown[]) => unknown;
/** A `fetch` that accepts any arguments. */
export type Fetch = (...args: unknown[]) => unknown;

/** An observer of every call that reads the whole request and answer. */
const everyCall = () => {
  let seen = 0;
  return callObserver(() => ({
    request(body) {
      seen += body?.length ?? 0;
      return true;
    },
    answer({ status, header }) {
      seen += status + (header("content-type")?.length ?? 0);
    },
    chunk(bytes) {
      for (const byte of bytes) seen += byte;
    },
    end: (how) => ({ type: "llm", output: { how, seen } }),
  }));
};

/**
 * Origins that receive trace headers, with and without an observer. The refusing origin is left out, because a browser
 * would refuse a call with extra headers.
 */
const PROPAGATE: Record<string, (refusing: string) => object> = {
  everywhere: (refusing) => ({ propagateTo: [({ origin }: URL) => origin !== refusing] }),
  nowhere: () => ({ propagateTo: [] }),
  "everywhere, observed": (refusing) => ({
    propagateTo: [({ origin }: URL) => origin !== refusing],
    observe: [everyCall()],
  }),
  "nowhere, observed": () => ({ propagateTo: [], observe: [everyCall()] }),
  "as preset": () => ({}),
};

const ENTRIES: Record<string, (opik: Opik) => Call> = {
  "opik.fetch": (opik) => (args) => (opik as unknown as { fetch: Fetch }).fetch(...args),
  "opik.fetch, detached": (opik) => {
    const { fetch } = opik as unknown as { fetch: Fetch };
    return (args) => fetch(...args);
  },
  "span.fetch": (opik) => (args) => (opik.span() as unknown as { fetch: Fetch }).fetch(...args),
  "span.fetch, detached": (opik) => {
    const { fetch } = opik.span() as unknown as { fetch: Fetch };
    return (args) => fetch(...args);
  },
  "fetch of the package": (opik) => (args) => {
    let called: unknown;
    opik.span({}, () => {
      called = (ambientFetch as Fetch)(...args);
    });
    return called;
  },
  "instrumentFetch of the package": (opik) => (args) => {
    const stop = instrumentFetch();
    try {
      let called: unknown;
      opik.span({}, () => {
        called = (globalThis.fetch as Fetch)(...args);
      });
      return called;
    } finally {
      stop();
    }
  },
  "fetch of the package, no span": () => (args) => (ambientFetch as Fetch)(...args),
  instrumentFetch: (opik) => (args) => {
    const before = globalThis.fetch;
    const stop = opik.instrumentFetch();
    if (globalThis.fetch === before) throw new Lacks("instrumentFetch");
    try {
      return (globalThis.fetch as Fetch)(...args);
    } finally {
      stop();
    }
  },
};

/** The same calls as functions that a host can store or pass on. */
const FUNCTIONS: Record<string, (opik: Opik) => Fetch> = {
  "opik.fetch": (opik) => opik.fetch as Fetch,
  "span.fetch": (opik) => opik.span().fetch as Fetch,
  "fetch of the package": () => ambientFetch as Fetch,
};

/** Variations of a traced call. */
export const ENTRY: Columns = { entry: Object.keys(ENTRIES), propagate: Object.keys(PROPAGATE) };

/** Clients whose rows are discarded, and calls through them. */
export class TracedCalls {
  readonly #exporter = new InMemoryExporter();
  readonly #clients = new Map<string, Opik>();

  /** `refusing` is the origin without CORS. */
  constructor(readonly refusing: string = "") {}

  /** Returns a function that makes the call. */
  call(entry: string, propagate: string): Call {
    return ENTRIES[entry]!(this.#client(propagate));
  }

  /** Returns the traced `fetch` function. Throws `Lacks` for entries without a separate function. */
  function(entry: string, propagate: string): Fetch {
    const { [entry]: found } = FUNCTIONS;
    if (!found) throw new Lacks("a function of its own");
    return found(this.#client(propagate));
  }

  #client(propagate: string): Opik {
    const client = this.#clients.get(propagate) ?? this.#make(propagate);
    this.#clients.set(propagate, client);
    return client;
  }

  #make(propagate: string): Opik {
    const config = {
      transport: this.#exporter,
      background: false,
      onError() {},
      ...PROPAGATE[propagate]!(this.refusing),
    };
    return new Opik({ url: "http://opik.invalid/api", ...config });
  }

  /** Flushes the clients and discards their rows. */
  async flush(): Promise<void> {
    for (const client of this.#clients.values()) await client.flush();
    this.#exporter.clear();
  }
}
