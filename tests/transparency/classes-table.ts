// The classes of classes-shapes.ts as data: what each is, how it is called from outside, and which spans that has to give.

/** A class, and what is asked of an object of it. */
export interface Row {
  /** A handler is an object; it is only fetched. */
  readonly base: "DurableObject" | "WorkerEntrypoint" | "handler";
  /** By RPC: a method and its arguments. */
  readonly calls?: readonly (readonly [method: string, ...args: unknown[]])[];
  /** By RPC: properties. */
  readonly properties?: readonly string[];
  /** The spans of its calls, where it is wrapped: all that `calls`, `inside` and `fetch` lead to, and no other. */
  readonly spans: readonly string[];
  /** The same where there is no AsyncLocalStorage, if they are others. */
  readonly spansWithoutFlag?: readonly string[];
}

export const TABLE = {
  methods: {
    base: "DurableObject",
    calls: [["add", 1, 2], ["sum"], ["sum", 1, 2, 3], ["later", "x"], ["fails"]],
    spans: ["fetch", "Plain.add", "Plain.fails", "Plain.inside", "Plain.later", "Plain.sum", "Plain.sum"],
  },
  private: {
    base: "DurableObject",
    calls: [
      ["up", 2],
      ["up", 3],
      ["put", 7],
    ],
    properties: ["count"],
    spans: ["Private.inside", "Private.put", "Private.up", "Private.up"],
  },
  "functions in fields": {
    base: "DurableObject",
    calls: [["ask"], ["arrow"], ["Model"]],
    properties: ["name"],
    spans: ["Fields.ask", "Fields.inside", "fetch"],
  },
  "inherited and super": {
    base: "DurableObject",
    calls: [["greet", "ann"], ["only"]],
    properties: ["kind"],
    spans: ["Derived.greet", "Derived.inside", "Derived.only"],
  },
  "a framework's base class": {
    base: "DurableObject",
    calls: [["call", "tell"], ["call", "hidden"], ["listed"], ["tell"]],
    spans: ["Agent.call", "Agent.call", "Agent.inside", "Agent.listed", "Agent.tell"],
  },
  "handlers of its constructor's": {
    base: "DurableObject",
    spans: ["fetch", "Installed.inside"],
  },
  "a handler that can not be changed": {
    base: "DurableObject",
    // The language lets nobody put another function in its place.
    spans: ["Fixed.inside"],
  },
  frozen: {
    base: "DurableObject",
    calls: [["up"], ["up"]],
    spans: ["Frozen.inside", "Frozen.up", "Frozen.up", "fetch"],
  },
  "a frozen class": {
    base: "DurableObject",
    calls: [["up"]],
    spans: ["Fast.inside", "Fast.up"],
  },
  nameless: {
    base: "DurableObject",
    calls: [["up"]],
    spans: ["Store.inside", "Store.up"],
  },
  "members of every kind": {
    base: "DurableObject",
    calls: [
      ["late"],
      ["a name"],
      ["reader", 2],
      ["stream"],
      ["response"],
      ["target"],
      ["function"],
      ["nothing"],
      ["date"],
    ],
    properties: ["only", "late", "target"],
    spans: [
      "Kinds.a name",
      "Kinds.date",
      "Kinds.function",
      "Kinds.inside",
      "Kinds.late",
      // As a property it is a stub of the method.
      "Kinds.late",
      "Kinds.nothing",
      "Kinds.reader",
      "Kinds.response",
      "Kinds.stream",
      "Kinds.target",
      "Kinds.target",
    ],
  },
  "a subclass of a wrapped class, wrapped": {
    base: "DurableObject",
    calls: [["up"], ["same"], ["options"]],
    spans: ["Outer.inside", "Outer.options", "Outer.same", "Outer.up"],
  },
  "a subclass of a wrapped class": {
    base: "DurableObject",
    calls: [["up"], ["same"]],
    // What it inherits is traced, where it is asked for from outside.
    spans: ["Inner.same", "Inner.up"],
    // There calls from outside and from inside can not be told apart.
    spansWithoutFlag: [],
  },
  "wrapped twice, and by others": {
    base: "DurableObject",
    calls: [["up"], ["up"]],
    spans: ["Core.inside", "Core.up", "Core.up", "fetch"],
  },
  "a constructor that gives another object": {
    base: "DurableObject",
    calls: [["up"]],
    spans: ["Stand.inside", "Stand.up"],
  },
  "a constructor that throws": {
    base: "DurableObject",
    calls: [["up"]],
    spans: [],
  },
  entrypoint: {
    base: "WorkerEntrypoint",
    calls: [["greet", "ann"], ["shout"]],
    properties: ["calls"],
    // Called by RPC, and in its own isolate.
    spans: ["Entry.greet", "Entry.greet", "Entry.inside", "Entry.shout", "Entry.shout", "fetch"],
  },
  "an entrypoint of own handlers": {
    base: "WorkerEntrypoint",
    spans: ["Arrow.inside", "fetch"],
  },
  "an entrypoint as `wrangler dev` extends it": {
    base: "WorkerEntrypoint",
    calls: [["greet", "ann"], ["shout"]],
    properties: ["calls"],
    // Called by RPC, and in its own isolate.
    spans: ["Entry.greet", "Entry.greet", "Entry.inside", "Entry.shout", "Entry.shout", "fetch"],
    spansWithoutFlag: ["fetch"],
  },
  "an object": { base: "handler", spans: ["fetch", "scheduled 1"] },
  "an object of a class": { base: "handler", spans: ["fetch", "scheduled 1"] },
  "a frozen object": { base: "handler", spans: ["fetch"] },
  "a frozen object of a class": { base: "handler", spans: ["fetch"] },
  "a handler that can not be changed, of an object": {
    base: "handler",
    // The language lets nobody put another function in its place.
    spans: [],
  },
  "a Hono app": { base: "handler", spans: ["fetch"] },
  "a router that is a Proxy": { base: "handler", spans: ["fetch"] },
  "a wrapped object, spread": { base: "handler", spans: ["fetch"] },
  "an object wrapped twice, and by others": { base: "handler", spans: ["fetch"] },
} as const satisfies Readonly<Record<string, Row>>;

/** What can not be the same. */
export interface Accepted {
  readonly shapes: readonly (keyof typeof TABLE)[];
  readonly look: string;
  /** Of the answer; without one it is all of it. */
  readonly member?: string;
  readonly reason: string;
}

export const ACCEPTED: readonly Accepted[] = [
  {
    shapes: [
      "a subclass of a wrapped class, wrapped",
      "a subclass of a wrapped class",
      "an entrypoint as `wrangler dev` extends it",
    ],
    look: "inside",
    member: "chain",
    reason: "there is one prototype more: the one where objects of a subclass are traced",
  },
  {
    shapes: [
      "an object",
      "an object of a class",
      "a frozen object",
      "a frozen object of a class",
      "a Hono app",
      "a wrapped object, spread",
    ],
    look: "own text of fetch",
    reason: "a function that stands for another shows no source; the handler's own code has the function itself",
  },
];
