// The classes of classes-shapes.ts as data: their kind, their calls from outside, and the spans that these calls must give.

/** A class, and the calls and properties to use on an object of it. */
export interface Row {
  /** The base class. `handler` is a plain object; only its `fetch` is called. */
  readonly base: "DurableObject" | "WorkerEntrypoint" | "handler";
  /** Calls by RPC: a method and its arguments. */
  readonly calls?: readonly (readonly [method: string, ...args: unknown[]])[];
  /** Properties read by RPC. */
  readonly properties?: readonly string[];
  /** The exact spans that `calls`, `inside` and `fetch` give when the class is wrapped. */
  readonly spans: readonly string[];
  /** The spans without AsyncLocalStorage, if they differ. */
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
    // The method is not writable or configurable, so it cannot be replaced.
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
      // Reading it as a property gives a stub of the method.
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
    // Inherited methods are traced when they are called from outside.
    spans: ["Inner.same", "Inner.up"],
    // Without AsyncLocalStorage, calls from outside and from inside look the same.
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
    // The method is not writable or configurable, so it cannot be replaced.
    spans: [],
  },
  "a Hono app": { base: "handler", spans: ["fetch"] },
  "a router that is a Proxy": { base: "handler", spans: ["fetch"] },
  "a wrapped object, spread": { base: "handler", spans: ["fetch"] },
  "an object wrapped twice, and by others": { base: "handler", spans: ["fetch"] },
} as const satisfies Readonly<Record<string, Row>>;

/** A difference that cannot be avoided. */
export interface Accepted {
  readonly shapes: readonly (keyof typeof TABLE)[];
  readonly look: string;
  /** The member of the answer that differs; the whole answer by default. */
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
    reason: "the chain has one more prototype, on which objects of a subclass are traced",
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
    reason: "a proxy of a function shows no source text; the handler's own code still has the original",
  },
];
