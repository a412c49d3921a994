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
  ...rows(suite, "function.text", "a tracked function is a proxy, of whose target the language shows no source text"),
  ...rows(suite, "function.types", "`util.types` does not look through a proxy"),
  ...rows(suite, "seen", "`new.target` is the tracked function where that is called with `new`", [{ kind: "class" }]),
  ...rows(
    suite,
    "returned.hidden",
    "what a generator function gives is watched in place, by methods that no loop meets",
    [{ kind: "generator" }, { kind: "async generator" }],
  ),
]);

const IN_PLACE = "it is watched in place, by members that no loop meets";
const LISTENERS = "a stream's listeners are members of it: there is one of `close` and one of `events.errorMonitor`";
const COPY = "a stream is handed on as a copy, since its end is seen by nobody but its reader";
const READ = "an output is recorded, so its getters and `toJSON` are called";
const EARLY = "a copy reads from its source, which fills its queue again as soon as there is room";

const SIDE =
  "a promise that its host may have elsewhere too is looked on at from the side: its rejection is handled then";
const BUN_ORDER = "Bun shows the methods of a class in another order where they are members of an object";
const BUN_HIDDEN = "Bun shows also members that no loop meets";
const BUN_TYPE = "Bun forgets a content type that it has derived from a body with that body; a copy keeps it";
const WORKERD = ["workerd", "old workerd"];
const WORKERD_PROXY = "workerd's `util.inspect` tells a proxy: a method that a loop meets is a proxy of itself";
const FORM_BOUNDARY = "Firefox makes boundaries of different lengths, and WebKit can not read all of them";
const PROXY = "a proxy of a response is not to be told from a response";
const OF_CALL =
  "it is the copy that a traced call gives: `url`, `redirected` and `type` can not be given to a constructor";

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
    "Chromium tells a frame of a rejection that comes from it, and the page of one that a promise of ours passes on",
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
    "a stream that Node itself has made has a `constructor` of its own; a copy has that of its class",
    [...results("of a TransformStream", "a branch of a tee", "piped through")],
  ),
  ...rows("bodies", "notes", EARLY, results("with a queue", "with a size", "piped through")),
  ...rows("bodies", "used", "nobody can see whether a stream has been read from", results("read before")),
  ...rows("bodies", "notes", "nobody can see whether a stream has been read from", results("read before")),
  ...rows("bodies", "shape.inspected", "nobody can see whether a stream has been read from", results("read before")),
  ...rows("bodies", "used.error", "that a stream has failed is seen by nobody but its reader", [
    { result: "that fails at once", use: "with a buffer" },
  ]),
  ...rows(
    "bodies",
    "shape.inspected",
    "workerd's `util.inspect` tells whether a stream takes buffers: a copy of one that is over does",
    results("that fails at once", "closed"),
    WORKERD,
  ),
  ...rows(
    "bodies",
    "shape.inspected",
    "workerd's `util.inspect` tells how much is left of a body: of a copy, what there was",
    results("of a response", "of a Blob").map((of) => ({ ...of, looked: "after" })),
    WORKERD,
  ),
  ...rows(
    "returned responses",
    "shape.inspected",
    "workerd gives back the lock of a body that has failed; a copy keeps it",
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
    "workerd's own bodies take one read at a time, against the standard; a copy's takes any number",
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
    rows("returned responses", aspect, "a copy's headers may be changed", [
      { result: "of a call", use: "headers changed" },
      { result: "of a call that was redirected", use: "headers changed" },
    ]),
  ),
  ...rows("returned responses", "used", FORM_BOUNDARY, results("of FormData"), ["Firefox", "WebKit"]),
  ...rows(
    "returned responses",
    "used.during",
    "Chromium begins to read a stream that is made in JavaScript a moment after it is asked for a Blob",
    [{ use: "blob" }],
    ["Chromium"],
  ),
  ...rows(
    "returned responses",
    "shape.inspected",
    "Bun shows whether a body of its own has come whole",
    results("of a call", "of a call, in pieces", "of a call that was redirected"),
    ["Bun"],
  ),
  ...["shape.response.bodyUsed", "used.text", "used.used", "used.after"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      "Bun takes its own body for used as soon as it has a reader",
      [{ use: "text while it is locked" }, { use: "cancelled while it is locked" }],
      ["Bun"],
    ),
  ),
  ...["shape.response.bodyUsed", "used.used"].flatMap((aspect) =>
    rows(
      "returned responses",
      aspect,
      "Firefox takes its own body for unused after another response has read it",
      [{ use: "a response of its body" }],
      ["Firefox"],
    ),
  ),
  ...rows("returned responses", "notes", COPY, results("that is kept")),
  ...rows(
    "returned responses",
    "shape.inspected",
    "a traced async function is done some microtasks later: a stream that fails at once has failed by then, which Bun shows",
    [{ result: "of a stream that fails", kind: "bound, async", looked: "before" }],
    ["Bun"],
  ),
];
