// The two arguments of `fetch` as a table: every form that WebIDL accepts or refuses (Fetch standard, `fetch(input,
// init)`). Each column names one part; `argumentsOf` puts the parts together.

import { type Columns, Lacks, type Row } from "./table.js";

/** Data from which a row's values are made, and places to note effects. */
export interface Ingredients {
  /** The case's URL on the page's own origin, ending in a slash, and its path alone. */
  readonly own: string;
  readonly path: string;
  /** The same on another origin that allows CORS, and on an origin that does not. */
  readonly other: string;
  readonly refusing: string;
  /** An origin without a listener. */
  readonly refused: string;
  /** Buffers that the host owns. */
  readonly owned: ArrayBufferView[];
  /** Names of the members read from an init that counts reads. */
  readonly reads: string[];
  /** Aborts the call, at the moment that the row names. */
  readonly controller: AbortController;
  /** Undoes the effects of a row. */
  readonly undo: (() => void)[];
}

type Members = Record<string, unknown>;
type Make<T> = Record<string, (ingredients: Ingredients) => T>;

const ABSENT = Symbol("absent");
const absent = (): typeof ABSENT => ABSENT;
const constants = (values: readonly unknown[]): Make<unknown> =>
  Object.fromEntries(values.map((value) => [JSON.stringify(value) ?? `${value}`, () => value]));

// --- The members of an init. Each table lists the accepted values, then the values that are refused or turned into text.

const BYTES = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode("bytes in žluť");

/** Chunks as hosts make them: two chunks share a buffer, and a third is sent twice. */
function chunks({ owned }: Ingredients): Uint8Array<ArrayBuffer>[] {
  const shared = new TextEncoder().encode("first, second, ");
  const ping = new TextEncoder().encode(": ping\n");
  const made = [shared.subarray(0, 7), shared.subarray(7), ping, ping];
  owned.push(...made);
  return made;
}

function streamOf(values: readonly unknown[], source: object = {}): ReadableStream {
  let sent = 0;
  return new ReadableStream({
    ...source,
    pull(controller) {
      if (sent < values.length) controller.enqueue(values[sent++]);
      else controller.close();
    },
  });
}

function own<T extends ArrayBufferView>({ owned }: Ingredients, view: T): T {
  owned.push(view);
  return view;
}

const BODIES: Make<unknown> = {
  absent,
  string: () => "a text, žluť",
  "empty string": () => "",
  null: () => null,
  undefined: () => undefined,
  ArrayBuffer: (i) => own(i, BYTES()).buffer,
  "part of a buffer": (i) => own(i, BYTES().subarray(2, 6)),
  DataView: (i) => own(i, new DataView(BYTES().buffer, 1)),
  Buffer: (i) => {
    const { Buffer } = globalThis as { Buffer?: { from(text: string): Uint8Array } };
    if (!Buffer) throw new Lacks("Buffer");
    return own(i, Buffer.from("a pooled buffer"));
  },
  "Blob with a type": () => new Blob(["a blob"], { type: "text/x-blob" }),
  "Blob without": () => new Blob(["a blob"]),
  File: () => {
    if (typeof File === "undefined") throw new Lacks("File");
    return new File(["a file"], "f.txt", { type: "text/x-file" });
  },
  FormData: () => {
    const form = new FormData();
    form.append("a", "1");
    form.append("f", new Blob(["in a form"], { type: "text/plain" }), "f.txt");
    return form;
  },
  URLSearchParams: () => new URLSearchParams({ a: "1", b: "ž" }),
  stream: (i) => streamOf(chunks(i)),
  "byte stream": (i) => {
    try {
      return streamOf(
        chunks(i).map((chunk) => chunk.slice()),
        { type: "bytes" },
      );
    } catch {
      throw new Lacks("byte streams");
    }
  },
  "async generator": async function* (i) {
    for (const chunk of chunks(i)) yield chunk;
  },
  "plain object": () => ({ toString: () => "an object" }),
  number: () => 42,
};

const REFUSED_BODIES: Make<unknown> = {
  "stream of strings": () => streamOf(["a", "b"]),
  "stream without duplex": (i) => streamOf(chunks(i)),
  "used stream": () => {
    const stream = streamOf(["a"]);
    void stream.cancel();
    return stream;
  },
  "locked stream": () => {
    const stream = streamOf([]);
    stream.getReader();
    return stream;
  },
  "Symbol as a body": () => Symbol("body"),
};

const isStream = (body: string): boolean => /stream$|generator|of strings/.test(body);

const METHODS: Make<unknown> = {
  absent,
  ...constants(["GET", "get", "POST", "post", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PURGE"]),
  "undefined method": () => undefined,
};
const REFUSED_METHODS: Make<unknown> = {
  ...constants(["patch", "TRACE", "CONNECT", "", "G E T", null]),
  "object as a method": () => ({ toString: () => "POST" }),
};

const IDS = {
  opik_trace_id: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  opik_parent_span_id: "01a20612-0bcc-794c-8aba-f81361854650",
};

const HEADERS: Make<unknown> = {
  absent,
  Headers: () =>
    new Headers([
      ["X-One", "1"],
      ["x-two", "2"],
      ["X-ONE", "11"],
    ]),
  record: () => ({ "X-One": "1", "x-two": " 2 ", "content-type": "text/x-own" }),
  "empty record": () => ({}),
  pairs: () => [
    ["X-One", "1"],
    ["x-two", "2"],
    ["x-one", "3"],
    ["Content-Type", "text/x-own"],
  ],
  Map: () => new Map([["X-One", "1"]]),
  generator: function* () {
    yield ["X-One", "1"];
    yield ["accept", "*/*, text/x-own"];
  },
  "Headers of a subclass": () => new (class Own extends Headers {})({ "X-One": "1" }),
  "trace headers": () => ({ ...IDS, "X-One": "1" }),
  "Latin-1": () => ({ "x-latin": "é" }),
  "undefined headers": () => undefined,
  "numbers and null": () => ({ "x-number": 7, "x-null": null, "x-undefined": undefined }),
  "inherited record": () => Object.create({ "x-inherited": "1" }),
};
const REFUSED_HEADERS: Make<unknown> = {
  "null headers": () => null,
  "a string as headers": () => "x-one: 1",
  "no name": () => ({ "": "1" }),
  "a space in a name": () => ({ "x one": "1" }),
  "a line break in a value": () => ({ "x-one": "1\r\nx-two: 2" }),
  "beyond Latin-1": () => ({ "x-one": "ž" }),
  "a pair of one": () => [["x-one"]],
  "a symbol as a name": () => ({ [Symbol("name")]: "1", "x-one": "1" }),
  "a symbol as a value": () => ({ "x-one": Symbol("value") }),
  "forbidden names": () => ({ host: "example.com", cookie: "a=1", "content-length": "3", connection: "close" }),
  "headers that throw": () => ({
    get "x-one"() {
      throw new RangeError("the host's own");
    },
  }),
};

/** When the call is aborted. The program itself aborts "during" a phase. */
const SIGNALS: Make<unknown> = {
  absent,
  live: ({ controller }) => controller.signal,
  "null signal": () => null,
  "undefined signal": () => undefined,
  "of several": ({ controller }) => {
    if (!("any" in AbortSignal)) throw new Lacks("AbortSignal.any");
    return AbortSignal.any([controller.signal]);
  },
  "aborted during headers": ({ controller }) => controller.signal,
  "aborted during body": ({ controller }) => controller.signal,
};
const REFUSED_SIGNALS: Make<unknown> = {
  aborted: () => AbortSignal.abort(),
  "aborted with a reason": () => AbortSignal.abort(new RangeError("the host's reason")),
  "aborted with a text": () => AbortSignal.abort("a text"),
  "a text as a signal": () => "signal",
  "an object as a signal": () => ({ aborted: false }),
};

/** By member: the values that every platform accepts, and the values that some platform refuses. */
const MEMBERS: Record<string, readonly [taken: Make<unknown>, refused: Make<unknown>]> = {
  method: [METHODS, REFUSED_METHODS],
  body: [BODIES, REFUSED_BODIES],
  headers: [HEADERS, REFUSED_HEADERS],
  signal: [SIGNALS, REFUSED_SIGNALS],
  redirect: [{ absent, ...constants(["follow", "manual"]) }, constants(["error", "sideways"])],
  referrer: [
    { absent, ...constants(["", "about:client"]), "own page": ({ own: url }) => `${url}page?secret=1#part` },
    { ...constants(["http://example.com/", "//"]) },
  ],
  referrerPolicy: [
    { absent, ...constants(["", "no-referrer", "origin", "unsafe-url", "same-origin"]) },
    constants(["wrong"]),
  ],
  integrity: [
    { absent, ...constants([""]) },
    { right: () => RIGHT, ...constants(["sha256-AAAA", "nonsense"]) },
  ],
  keepalive: [{ absent, ...constants([false, true]) }, constants(["yes"])],
  credentials: [{ absent, ...constants(["omit", "same-origin", "include"]) }, constants(["wrong"])],
  mode: [{ absent, ...constants(["cors", "no-cors", "same-origin"]) }, constants(["navigate", "wrong"])],
  cache: [
    { absent, ...constants(["no-store"]) },
    constants(["default", "reload", "no-cache", "force-cache", "only-if-cached", "wrong"]),
  ],
  priority: [{ absent, ...constants(["high", "low", "auto"]) }, constants(["wrong"])],
  duplex: [{ absent, ...constants(["half"]) }, constants(["full"])],
  window: [{ absent, ...constants([null]) }, constants(["wrong"])],
  /** The tracing options of a call, which platforms ignore. */
  opik: [
    {
      absent,
      "a name": () => ({ name: "a name" }),
      "no headers": () => ({ propagate: false }),
      via: () => ({ via: { fetch: VIA } }),
      "undefined options": () => undefined,
    },
    { "null options": () => null, ...constants(["wrong"]) },
  ],
};

/** The SHA-256 of the answer `text`. */
export const RIGHT = "sha256-mRtzTze83xCtQOLApdb5GtOHgqT5HIupGamWXfezJfA=";
const VIA: typeof fetch = fetch.bind(globalThis);

// --- The forms of an init

const same = (members: Members): Members => members;

/** An init whose class has the accessors, with private values. */
function ofClass(members: Members): object {
  class Init {
    readonly #members = members;
    static {
      for (const name of Object.keys(MEMBERS)) {
        Object.defineProperty(Init.prototype, name, {
          get(this: Init) {
            return this.#members[name];
          },
        });
      }
    }
  }
  return new Init();
}

function counting(members: Members, { reads }: Ingredients): Members {
  return new Proxy(members, {
    get(target, name, receiver) {
      // Only tracing reads `opik`, so these reads are not counted.
      if (name !== "opik") reads.push(String(name));
      return Reflect.get(target, name, receiver);
    },
    ownKeys(target) {
      reads.push("[keys]");
      return Reflect.ownKeys(target);
    },
  });
}

const INITS: Record<string, (members: Members, ingredients: Ingredients) => unknown> = {
  absent,
  plain: same,
  undefined: () => undefined,
  null: () => null,
  inherited: (members) => Object.create(members),
  "of a class": ofClass,
  frozen: (members) => Object.freeze(members),
  "without a prototype": (members) => Object.assign(Object.create(null), members),
  "not enumerable": (members) => {
    const descriptors = Object.entries(members).map(([name, value]) => [name, { value }]);
    return Object.defineProperties({}, Object.fromEntries(descriptors));
  },
  Proxy: (members) => new Proxy(members, {}),
  counting,
  Request: (members, { other }) => new Request(`${other}of%20the%20init`, members),
  function: (members) => Object.assign(() => {}, { ...members }),
  array: (members) => Object.assign([], members),
  "with more": (members) => ({ ...members, unknown: 1, [Symbol("more")]: 2, timeout: 10 }),
};
const REFUSED_INITS: typeof INITS = {
  '"POST"': () => "POST",
  7: () => 7,
  true: () => true,
  "Symbol as an init": () => Symbol("init"),
  "a getter throws": () => ({
    get method() {
      throw new RangeError("the host's own");
    },
  }),
  revoked: () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
};

/** `true` for an init without members. The row's members then go to the `Request`, if that is the input. */
const isEmpty = (init: string): boolean => ["absent", "undefined", "null"].includes(init) || init in REFUSED_INITS;

// --- The forms of an input

const ofRequest = (url: string, members: Members): Request =>
  new Request(url, "headers" in members ? members : { headers: { "X-Of": "the request" }, ...members });

const INPUTS: Record<string, (url: string, members: Members, ingredients: Ingredients) => unknown> = {
  string: (url) => url,
  URL: (url) => new URL(url),
  Request: ofRequest,
  "Request with a body": (url, members) => ofRequest(url, { method: "POST", body: "of the request", ...members }),
  "Request of a subclass": (url, members) => new (class Own extends Request {})(url, members),
  "object with toString": (url) => ({ toString: () => url }),
  "String object": (url) => new String(url),
  array: (url) => [url],
  "URL with own members": (url) => Object.assign(new URL(url), { method: "PUT", headers: { "x-odd": "1" } }),
};
const REFUSED_INPUTS: typeof INPUTS = {
  relative: (url) => new URL(url).pathname.slice(1),
  "relative, below a base elsewhere": (url, _, { other, undo }) => {
    const { document } = globalThis as { document?: Document };
    if (!document) throw new Lacks("<base>");
    const base = Object.assign(document.createElement("base"), { href: new URL("/", other).href });
    document.head.append(base);
    undo.push(() => base.remove());
    return new URL(url).pathname.slice(1);
  },
  "no argument": absent,
  undefined: () => undefined,
  null: () => null,
  number: () => 7,
  "empty string": () => "",
  "Symbol as an input": () => Symbol("input"),
  "toString throws": () => ({
    toString() {
      throw new RangeError("the host's own");
    },
  }),
  "used Request": (url) => {
    const request = new Request(url, { method: "POST", body: "used" });
    void request.text();
    return request;
  },
};

/** Targets of a call. */
const TARGETS: Make<string> = {
  own: (i) => i.own,
  other: (i) => i.other,
  "with a query and a fragment": (i) => `${i.own}`,
};
const REFUSED_TARGETS: Make<string> = {
  refusing: (i) => i.refusing,
  refused: (i) => i.refused,
  "with a password": (i) => i.own.replace("://", "://user:secret@"),
  "data:": () => "data:text/plain;base64,aGVsbG8=",
  "blob:": ({ undo }) => {
    if (!URL.createObjectURL) throw new Lacks("URL.createObjectURL");
    const url = URL.createObjectURL(new Blob(["of a blob"], { type: "text/x-blob" }));
    undo.push(() => URL.revokeObjectURL(url));
    return url;
  },
  "about:": () => "about:blank",
  "unknown scheme": () => "unknown://127.0.0.1:9/nothing",
  "blocked port": () => "http://127.0.0.1:9/blocked",
  "not a URL": () => "http://",
};

const names = (...tables: object[]): string[] => tables.flatMap((table) => Object.keys(table));
const taken = Object.entries(MEMBERS).map(([member, [first]]) => [member, names(first)]);
const refused = Object.entries(MEMBERS).map(([member, [, second]]) => [member, names(second)]);

/** Values that every platform accepts. */
export const ARGUMENTS: Columns = {
  input: names(INPUTS),
  init: names(INITS),
  target: names(TARGETS),
  ...Object.fromEntries(taken),
};
/** Values that some platform refuses, or treats in its own way. */
export const REFUSED: Columns = {
  input: names(REFUSED_INPUTS),
  init: names(REFUSED_INITS),
  target: names(REFUSED_TARGETS),
  ...Object.fromEntries(refused),
};

/** `true` if the row's members are part of its call. */
export function hasMembers({ input, init }: Row): boolean {
  return !isEmpty(init!) || input!.startsWith("Request");
}

/** `true` if a call must fail before the rest of its row has an effect. */
export function clashes(row: Row): boolean {
  const { input, init, method, body, mode, target, keepalive, signal } = row as Record<string, string>;
  const isGiven = hasMembers(row);
  const hasBody = isGiven && !["absent", "null", "undefined"].includes(body!);
  const verb = isGiven && method !== "absent" && !method!.startsWith("undefined") ? JSON.parse(method!) : "GET";
  if (/^(get|head)$/i.test(verb) && hasBody) return true;
  if (/^(get|head)$/i.test(verb) && input === "Request with a body" && (method !== "absent" || init === "Request"))
    return true;
  if (mode === '"no-cors"' && !/^(get|head|post)$/i.test(verb)) return true;
  if (mode === '"same-origin"' && target === "other") return true;
  if (keepalive === "true" && isStream(body!)) return true;
  return verb === "HEAD" && signal === "aborted during body";
}

/**
 * `true` if the outcome of an aborted call depends on the browser: it might first reject streams over HTTP/1.1, or let a
 * `keepalive` request continue.
 */
export function racesToAbort({ body, init, signal, keepalive }: Row): boolean {
  if (signal === "aborted during body") return keepalive === "true";
  // The body of a `Request` is a stream.
  const hasStream = isStream(body!) || (init === "Request" && body !== "absent");
  return signal === "aborted during headers" && hasStream;
}

/** The arguments of a row's call, which requests the answer named `answer`. */
export function argumentsOf(row: Row, answer: string, ingredients: Ingredients): unknown[] {
  const member = (name: string): unknown => {
    const [first, second] = MEMBERS[name]!;
    return (first[row[name]!] ?? second[row[name]!]!)(ingredients);
  };
  const members: Members = {};
  for (const name of Object.keys(MEMBERS)) {
    const value = member(name);
    if (value !== ABSENT) members[name] = value;
  }
  if (isStream(row["body"]!) && row["duplex"] === "absent" && row["body"] !== "stream without duplex")
    members["duplex"] = "half";
  const base = { ...TARGETS, ...REFUSED_TARGETS }[row["target"]!]!(ingredients);
  const url = base.endsWith("/") && base !== "http://" ? base + encodeURIComponent(answer) : base;
  const whole = row["target"] === "with a query and a fragment" ? `${url}?q=secret&r=%C5%BE#part` : url;
  const inRequest = isEmpty(row["init"]!) ? members : {};
  const input = { ...INPUTS, ...REFUSED_INPUTS }[row["input"]!]!(whole, inRequest, ingredients);
  const init = { ...INITS, ...REFUSED_INITS }[row["init"]!]!(members, ingredients);
  if (input === ABSENT) return [];
  return init === ABSENT ? [input] : [input, init];
}
