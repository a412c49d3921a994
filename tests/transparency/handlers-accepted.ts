// Accepted differences of servers, each with its reason.

import type { Accepted } from "./differential.js";

const accepted = (
  reason: string,
  suite: string,
  aspects: readonly string[],
  answers: readonly string[],
  runtimes?: readonly string[],
): Accepted[] =>
  aspects.flatMap((aspect) =>
    answers.map((answer) => ({ suite, aspect, where: { answer }, ...(runtimes && { runtimes }), reason })),
  );

const NODES = ["Node 20", "Node 22", "Node 24"];
const OLD = ["nodejs_compat", "nodejs_als", "no flag"].map((flags) => `old workerd, ${flags}`);

export const ACCEPTED_HANDLERS: readonly Accepted[] = [
  ...accepted(
    "Node's own Response does not show whether its body is a text. One that the handler has cloned is watched, and sent in chunks.",
    "handlers",
    ["client.headers", "byFetch.headers"],
    ["cloned", "a clone"],
    NODES,
  ),
  ...accepted(
    "A response whose body is watched is a copy: Deno spells the name of a type that it has derived in another way.",
    "handlers",
    ["client.headers"],
    ["typed blob", "file", "form"],
    ["Deno"],
  ),
  ...accepted(
    "The same: Deno sends the headers of an answer of its own fetch in another order.",
    "handlers",
    ["client.headers"],
    ["proxied"],
    ["Deno"],
  ),
  ...accepted(
    "Bun shows only to its inspector whether a body is a stream, and then spells the name of a type that it has derived in another way.",
    "handlers",
    ["client.headers"],
    ["typed blob", "file", "form", "parameters"],
    ["Bun"],
  ),
  ...accepted(
    "Bun has read what was sent by the time the copy is made, and states its length.",
    "handlers",
    ["client.headers", "byFetch.headers"],
    ["what was sent"],
    ["Bun"],
  ),
  ...accepted(
    "A workerd of before 1.20261015 does not tell a stream that its client has gone; the write of ours that notices it does.",
    "handlers",
    ["handler.cancelled"],
    ["endless stream", "endless generator"],
    OLD,
  ),
  ...accepted(
    "There a stream that fails is one whose pipe is aborted: the connection is closed a moment later.",
    "handlers",
    ["client.next"],
    ["stream of texts"],
    OLD,
  ),
  ...accepted(
    "The trace is current in the events of a request and its response by an `emit` of their own, which is not enumerable.",
    "frameworks",
    ["client.headers", "client.body", "byFetch.length"],
    ["own properties"],
  ),
];
