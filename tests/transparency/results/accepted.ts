// Properties that cannot be equal when a function's result is watched, each with its reason.

import type { Accepted } from "../differential.js";
import type { Row } from "../table.js";

const SUITES = ["values", "promises", "iterators", "Node streams", "bodies", "returned responses"];

const rows = (
  suite: string,
  aspect: string,
  reason: string,
  wheres: readonly Row[] = [{}],
  runtimes?: readonly string[],
): Accepted[] => wheres.map((where) => ({ suite, aspect, reason, where, ...(runtimes && { runtimes }) }));

const results = (...names: string[]): Row[] => names.map((result) => ({ result }));

const ofTracked = SUITES.flatMap((suite) => [
  ...rows(
    suite,
    "function.text",
    "a tracked function is a proxy, and the language hides the source text of a proxy's target",
  ),
  ...rows(suite, "function.types", "`util.types` does not look through a proxy"),
  ...rows(suite, "seen", "`new.target` is the tracked function if that is called with `new`", [{ kind: "class" }]),
  ...rows(suite, "returned.hidden", "a generator is watched in place, by non-enumerable methods", [
    { kind: "generator" },
    { kind: "async generator" },
  ]),
]);

const IN_PLACE = "it is watched in place, by non-enumerable members";
const LISTENERS =
  "a stream's listeners are among its members, and tracing adds listeners for `close` and `events.errorMonitor`";
const COPY = "a stream is passed on as a copy, because only its reader sees its end";
const READ = "an output is recorded, so its getters and `toJSON` are called";
const EARLY = "a copy reads from its source, which refills its queue as soon as there is room";

const SIDE = "a promise that the host might keep elsewhere is observed by `then`, which handles its rejection";
const BUN_ORDER = "Bun shows a class's methods in another order if they are an object's own members";
const BUN_HIDDEN = "Bun also shows non-enumerable members";
const BUN_TYPE = "Bun drops a derived content type together with the body; a copy keeps it";
const WORKERD = ["workerd", "old workerd"];
const WORKERD_PROXY =
  "workerd's `util.inspect` shows proxies, and an enumerable method is replaced by a proxy of itself";
const FORM_BOUNDARY = "Firefox's boundaries vary in length, and WebKit cannot read all of them";
const PROXY = "a proxy of a response cannot be distinguished from a response";
const OF_CALL = "it is the copy from a traced call: a constructor cannot set `url`, `redirected` and `type`";

const STREAMS_COPIED = [
  ...["of strings", "of objects", "of bytes", "of bytes, full", "of pooled Buffers", "of the same chunk again"],
  ...["of parts of one buffer", "of a DataView", "of empty chunks", "a byte stream", "a byte stream that is empty"],
  ...["with a queue", "with a size", "that fails at once", "that fails later", "whose `pull` throws"],
  ...["whose `cancel` fails", "closed", "read before", "of a TransformStream", "of a response", "of a Blob"],
  "a branch of a tee",
  "piped through",
];

/** Results whose `then` is enumerable. */
const THENABLES = [
  ...["an object of functions", "several values", "callbacks", "callbacks, failing", "`then` throws"],
  ...["`then` has members", "a function"],
];

/** Results whose `next`, or method that gives an iterator, is enumerable. */
const ITERABLES = [
  ...["iterator", "iterator with `return` and `throw`", "async iterator", "async iterator of thenables"],
  ...["steps that refuse", "async iterable", "async iterable without `return`", "async iterable with one iterator"],
  ...["async iterable of a frozen iterator", "async iterable of nothing", "async iterable that refuses"],
];

const RESPONSES_COPIED = [
  ...["of a text", "of an empty text", "of JSON", "of bytes", "of a Buffer", "of a Blob", "of a File", "of FormData"],
  ...["of URLSearchParams", "of a stream", "of a full stream", "of pooled Buffers", "of the same chunk again"],
  ...["of parts of one buffer", "of a byte stream", "of a stream of strings", "of a stream that fails"],
  ...["of an async iterable", "with a status and headers", "of a failure", "cloned", "a clone", "that is kept"],
  ...["of a call", "of a call, in pieces", "of a call that was redirected"],
];

export const ACCEPTED_RESULTS: readonly Accepted[] = [
  ...ofTracked,
  ...rows("values", "notes", READ, results("object with getters", "stub of something far away")),
  ...rows("values", "shape.own", READ, results("Headers"), ["Deno"]),
  ...rows("promises", "shape.hidden", IN_PLACE),
  ...rows("promises", "shape.inspected", BUN_ORDER, results("a query", "a query that fails"), ["Bun"]),
  ...rows("promises", "shape.inspected", BUN_HIDDEN, results("`then` is looked at"), ["Bun"]),
  ...rows("promises", "shape.inspected", WORKERD_PROXY, results(...THENABLES), WORKERD),
  ...rows("promises", "unhandled", SIDE, results("rejected", "rejected later")),
  ...rows("iterators", "shape.hidden", IN_PLACE),
  ...rows("iterators", "shape.inspected", BUN_ORDER, results("iterator of a class"), ["Bun"]),
  ...rows(
    "iterators",
    "shape.inspected",
    BUN_HIDDEN,
    results("stream of an SDK with events", "stream of an SDK with events, failing"),
    ["Bun"],
  ),
  ...rows("iterators", "shape.inspected", WORKERD_PROXY, results(...ITERABLES), WORKERD),
  ...rows(
    "promises",
    "unhandled",
    "Chromium reports a rejection to the frame that it comes from, but to the page if our promise passes it on",
    results("of another realm, rejected"),
    ["Chromium"],
  ),
  ...rows("Node streams", "shape.own", LISTENERS),
  ...rows("Node streams", "shape.json", LISTENERS),
  ...rows("Node streams", "shape.inspected", LISTENERS),
  ...rows("Node streams", "used.names", LISTENERS, [{ use: "listeners" }]),
  ...rows("bodies", "isSame", COPY, results(...STREAMS_COPIED)),
  ...rows(
    "bodies",
    "shape.own",
    "a stream made inside Node has its own `constructor`; a copy inherits it from its class",
    [...results("of a TransformStream", "a branch of a tee", "piped through")],
  ),
  ...rows("bodies", "notes", EARLY, results("with a queue", "with a size", "piped through")),
  ...rows("bodies", "used", "no API tells if a stream has been read from", results("read before")),
  ...rows("bodies", "notes", "no API tells if a stream has been read from", results("read before")),
  ...rows("bodies", "shape.inspected", "no API tells if a stream has been read from", results("read before")),
  ...rows("bodies", "used.error", "only a stream's reader sees that it has failed", [
    { result: "that fails at once", use: "with a buffer" },
  ]),
  ...rows(
    "bodies",
    "shape.inspected",
    "workerd's `util.inspect` shows if a stream accepts buffers, and the copy of a finished stream does",
    results("that fails at once", "closed"),
    WORKERD,
  ),
  ...rows(
    "bodies",
    "shape.inspected",
    "workerd's `util.inspect` shows the remaining length of a body; for a copy it shows the original length",
    results("of a response", "of a Blob").map((of) => ({ ...of, looked: "after" })),
    WORKERD,
  ),
  ...rows(
    "returned responses",
    "shape.inspected",
    "workerd releases the lock of a failed body; a copy keeps it",
    [{ result: "of a stream that fails", use: "bytes", looked: "after" }],
    WORKERD,
  ),
  ...rows(
    "returned responses",
    "shape.inspected",
    OF_CALL,
    results("of a call", "of a call, in pieces", "of a call that was redirected"),
    WORKERD,
  ),
  ...rows(
    "returned responses",
    "used",
    "workerd's native bodies allow one read at a time, against the standard; a copy's body allows any number",
    results("of a call", "of a call, in pieces", "of a call that was redirected").map((of) => ({
      ...of,
      use: "reads side by side",
    })),
    WORKERD,
  ),
  ...rows("returned responses", "isSame", COPY, results(...RESPONSES_COPIED)),
  ...rows("returned responses", "isSame", PROXY, results("proxy"), ["Node 20", "Node 22", "Deno"]),
  ...["shape.inspected", "shape.response", "used.headers"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      BUN_TYPE,
      results("of a Blob", "of a File", "of FormData", "of URLSearchParams"),
      ["Bun"],
    ),
  ),
  ...["shape.hidden", "used.url", "used.type", "used.own", "used.accessors", "used.clone"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      OF_CALL,
      results("of a call", "of a call, in pieces", "of a call that was redirected"),
    ),
  ),
  ...["shape.inspected", "shape.response", "used"].flatMap((aspect) =>
    rows("returned responses", aspect, "a copy's headers are mutable", [
      { result: "of a call", use: "headers changed" },
      { result: "of a call that was redirected", use: "headers changed" },
    ]),
  ),
  ...rows("returned responses", "used", FORM_BOUNDARY, results("of FormData"), ["Firefox", "WebKit"]),
  ...rows(
    "returned responses",
    "used.during",
    "when asked for a Blob, Chromium starts to read a JavaScript stream a moment later",
    [{ use: "blob" }],
    ["Chromium"],
  ),
  ...rows(
    "returned responses",
    "shape.inspected",
    "Bun shows if a native body has arrived completely",
    results("of a call", "of a call, in pieces", "of a call that was redirected"),
    ["Bun"],
  ),
  ...["shape.response.bodyUsed", "used.text", "used.used", "used.after"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      "Bun marks its native body as used once it has a reader",
      [{ use: "text while it is locked" }, { use: "cancelled while it is locked" }],
      ["Bun"],
    ),
  ),
  ...["shape.response.bodyUsed", "used.used"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      "Firefox marks its native body as unused after another response has read it",
      [{ use: "a response of its body" }],
      ["Firefox"],
    ),
  ),
  ...rows("returned responses", "notes", COPY, results("that is kept")),
  ...rows(
    "returned responses",
    "shape.inspected",
    "a traced async function settles some microtasks later, when a stream that fails at once has failed, which Bun shows",
    [{ result: "of a stream that fails", kind: "bound, async", looked: "before" }],
    ["Bun"],
  ),
];
