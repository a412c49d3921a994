// What can not be equal where a function's result is watched, each with its reason.

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
const BUN_TYPE = "Bun forgets a content type that it has derived from a body with that body; a copy keeps it";
const WORKERD = ["workerd", "old workerd"];
const WORKERD_SHOWS = "workerd's `util.inspect` tells a proxy, whether a stream takes buffers, and its length";
const TIMERS = "which of two timers of 0 ms is the first is up to workerd";
const WEBKIT_TASKS =
  "in WebKit a timer of 0 ms and a message take turns as they like: what is later by a microtask may be by a task";
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
  ...rows("promises", "shape.inspected", BUN_ORDER, [{}], ["Bun"]),
  ...rows("promises", "shape.inspected", WORKERD_SHOWS, [{}], WORKERD),
  ...rows("promises", "unhandled", SIDE, results("rejected", "rejected later")),
  ...rows("iterators", "shape.hidden", IN_PLACE),
  ...rows("iterators", "shape.inspected", BUN_ORDER, [{}], ["Bun"]),
  ...rows("iterators", "shape.inspected", WORKERD_SHOWS, [{}], WORKERD),
  ...rows(
    "promises",
    "unhandled",
    "Chromium tells a frame of a rejection that comes from it, and the page of one that a promise of ours passes on",
    results("of another realm, rejected"),
    ["Chromium"],
  ),
  ...rows("promises", "used", TIMERS, results("settled later", "rejected later"), WORKERD),
  ...rows("promises", "used", WEBKIT_TASKS, [{}], ["WebKit"]),
  ...rows("promises", "at", WEBKIT_TASKS, [{}], ["WebKit"]),
  ...rows("iterators", "notes", WEBKIT_TASKS, [{ kind: "mock" }], ["WebKit"]),
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
  ...rows("bodies", "shape.inspected", WORKERD_SHOWS, results(...STREAMS_COPIED), WORKERD),
  ...rows("returned responses", "shape.inspected", WORKERD_SHOWS, results(...RESPONSES_COPIED), WORKERD),
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
];
