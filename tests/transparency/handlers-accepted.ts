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
    "Node's Response hides if its body is a text. A cloned response is therefore watched, and sent in chunks.",
    "handlers",
    ["client.headers", "byFetch.headers"],
    ["cloned", "a clone"],
    NODES,
  ),
  ...accepted(
    "A response with a watched body is a copy: Deno spells the header name of a derived type differently.",
    "handlers",
    ["client.headers"],
    ["typed blob", "file", "form"],
    ["Deno"],
  ),
  ...accepted(
    "The same: Deno sends the headers of a response from its fetch in another order.",
    "handlers",
    ["client.headers"],
    ["proxied"],
    ["Deno"],
  ),
  ...accepted(
    "In Bun, only the inspector tells if a body is a stream, and inspecting changes the spelling of a derived type's header name.",
    "handlers",
    ["client.headers"],
    ["typed blob", "file", "form", "parameters"],
    ["Bun"],
  ),
  ...accepted(
    "Bun has read the request's body before the copy is made, and sends its length.",
    "handlers",
    ["client.headers", "byFetch.headers"],
    ["what was sent"],
    ["Bun"],
  ),
  ...accepted(
    "Before 1.20261015, workerd does not cancel a stream when its client leaves; our write notices and cancels it.",
    "handlers",
    ["handler.cancelled"],
    ["endless stream", "endless generator"],
    OLD,
  ),
  ...accepted(
    "In the old workerd a failing stream aborts its pipe, so the connection closes a moment later.",
    "handlers",
    ["client.next"],
    ["stream of texts"],
    OLD,
  ),
  ...accepted(
    "A non-enumerable own `emit` makes the trace current in the events of a request and its response.",
    "frameworks",
    ["client.headers", "client.body", "byFetch.length"],
    ["own properties"],
  ),
];
