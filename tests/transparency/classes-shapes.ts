// Classes in the styles that people use. Each shape is a function of its wrapper; `plain` does not wrap. Every class
// reports in `inside` how it looks from within. classes-worker.ts calls them.

import { DurableObject, RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import { Hono } from "hono";
import type { TABLE } from "./classes-table.js";

/** Wraps a class, or returns it unchanged. */
export type Wrap = <C extends object>(Class: C) => C;

/** Makes a class. */
export interface Shape {
  readonly make: (wrap: Wrap) => object;
  /** Looks at the export itself, as an importing module would. */
  readonly looks?: Readonly<Record<string, (exported: never, env: object, ctx: ExecutionContext) => unknown>>;
}

interface Env {
  readonly NAME: string;
}

// --- The view from inside

/** Everything that can be asked of an object without knowledge of its class. */
function inside(self: object, Class: abstract new (...args: never[]) => object, extra: object = {}): object {
  const prototype = Class.prototype as object;
  const methods = Object.getOwnPropertyNames(prototype);
  const value = (name: string): unknown => Object.getOwnPropertyDescriptor(prototype, name)?.value;
  return {
    own: Reflect.ownKeys(self).map(String),
    kinds: Object.entries(Object.getOwnPropertyDescriptors(self)).map(([name, member]) => [name, flags(member)]),
    prototype: methods.map((name) => [name, flags(Object.getOwnPropertyDescriptor(prototype, name)!)]),
    chain: chain(self).map((above) => above.constructor.name),
    isOfPrototype: Object.getPrototypeOf(self) === prototype,
    isItsConstructor: self.constructor === Class && prototype.constructor === Class,
    isInstance: self instanceof Class,
    // biome-ignore lint/suspicious/noPrototypeBuiltins: old code asks this way
    isPrototypeOf: prototype.isPrototypeOf(self),
    sameMethods: methods.filter((name) => typeof value(name) === "function" && Reflect.get(self, name) === value(name)),
    overridden: methods.filter((name) => Object.hasOwn(self, name)),
    isFrozen: Object.isFrozen(self),
    isExtensible: Object.isExtensible(self),
    tag: Object.prototype.toString.call(self),
    members: keysIn(self),
    text: String(Class).slice(0, 30),
    ...extra,
  };
}

function flags({ writable, enumerable, configurable, get, set }: PropertyDescriptor): unknown[] {
  return [writable, enumerable, configurable, typeof get, typeof set];
}

function chain(object: object): object[] {
  const above = Object.getPrototypeOf(object) as object | null;
  return above ? [above, ...chain(above)] : [];
}

function keysIn(object: object): string[] {
  const names: string[] = [];
  for (const name in object) names.push(name);
  return names;
}

// --- Features of frameworks

/** Metadata by function, as `@callable()` of `agents` stores it. */
const callables = new WeakMap<object, string>();

/** A decorator as TypeScript 5 and esbuild call it. */
function callable(description: string) {
  return <T extends object>(method: T, _context: unknown): T => {
    callables.set(method, description);
    return method;
  };
}

/** Detects overrides by own properties of the prototype, and wraps methods when the first object is made. `agents` does both. */
class Framework extends DurableObject<Env> {
  static readonly wrapped = new WeakSet<object>();
  readonly notes: string[] = [];

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const prototype = Object.getPrototypeOf(this) as object;
    const hasOwn = (name: string) => Object.hasOwn(prototype, name);
    if (hasOwn("onChange") && hasOwn("onUpdate")) throw new Error("override one of onChange and onUpdate");
    this.notes.push(hasOwn("onChange") ? "onChange is overridden" : "onChange is not");
    this.notes.push(hasOwn("onMessage") ? "onMessage is overridden" : "onMessage is not");
    const Class = this.constructor;
    if (Framework.wrapped.has(Class)) return;
    Framework.wrapped.add(Class);
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value, get } = Object.getOwnPropertyDescriptor(prototype, name)!;
      if (name === "constructor" || name === "inside" || get || typeof value !== "function") continue;
      const around = function (this: object, ...args: unknown[]): unknown {
        return value.apply(this, args);
      };
      const known = callables.get(value);
      if (known !== undefined) callables.set(around, known);
      Class.prototype[name] = around;
    }
  }

  onChange(): void {}
  onUpdate(): void {}
  onMessage(): void {}

  call(name: string): unknown {
    const method = (this as unknown as Record<string, (() => unknown) | undefined>)[name];
    if (!method || !callables.has(method)) throw new Error(`${name} is not callable`);
    return method.call(this);
  }

  listed(): unknown {
    const found: unknown[] = [];
    for (const level of chain(this)) {
      for (const name of Object.getOwnPropertyNames(level)) {
        const { value } = Object.getOwnPropertyDescriptor(level, name)!;
        if (typeof value === "function" && callables.has(value)) found.push([name, callables.get(value)]);
      }
    }
    return found;
  }
}

// --- Observations of handlers

async function told(request: Request, env: Env, what: unknown): Promise<Response> {
  return Response.json({ path: new URL(request.url).pathname, name: env.NAME, what }, { headers: { "x-a": "b" } });
}

const HANDLER_LOOKS: Record<string, (handler: never) => unknown> = {
  keys: (handler: object) => [Reflect.ownKeys(handler).map(String), Object.keys(handler), "fetch" in handler],
  members: (handler: object) =>
    Object.entries(Object.getOwnPropertyDescriptors(handler)).map(([name, member]) => [name, typeof member.value]),
  chain: (handler: object) => chain(handler).map((above) => above.constructor.name),
  tag: (handler: object) => Object.prototype.toString.call(handler),
  fetch: ({ fetch }: { fetch(): void }) => [typeof fetch, fetch.name, fetch.length],
  "text of fetch": ({ fetch }: { fetch(): void }) => String(fetch).slice(0, 20),
  missing: (handler: Record<string, unknown>) => ["missing" in handler, handler["missing"]],
};

// --- The classes

export const SHAPES: Readonly<Record<keyof typeof TABLE, Shape>> = {
  methods: {
    make: (wrap) =>
      wrap(
        class Plain extends DurableObject<Env> {
          add(a: number, b: number) {
            return this.sum(a, b) + this.constructor.name;
          }
          sum(...numbers: number[]) {
            return numbers.reduce((all, n) => all + n, 0);
          }
          async later(text: string) {
            await null;
            return { text, name: this.env.NAME };
          }
          inside() {
            return inside(this, Plain);
          }
          override async fetch() {
            return new Response(`fetched ${this.sum(1, 2)}`);
          }
          fails() {
            throw new RangeError("out of range");
          }
        },
      ),
  },

  private: {
    make: (wrap) =>
      wrap(
        class Private extends DurableObject<Env> {
          #count = 0;
          static #made = 0;
          static readonly limit = 3;
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            Private.#made += 1;
          }
          #up(by: number) {
            this.#count += by;
            return this.#count;
          }
          up(by: number) {
            return this.#up(by);
          }
          get count() {
            return this.#count;
          }
          set count(n: number) {
            this.#count = n;
          }
          put(n: number) {
            this.count = n;
            return [this.count, Private.isOne(this), Private.made()];
          }
          inside() {
            return inside(this, Private, { isOne: Private.isOne(this) });
          }
          static isOne(object: object) {
            return #count in object;
          }
          static made() {
            // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
            return this.#made > 0;
          }
          static get twice() {
            // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
            return this.limit * 2;
          }
        },
      ),
    looks: {
      made: (Class: { made(): boolean }) => Class.made(),
      "accessor and field": (Class: { twice: number; limit: number }) => [Class.twice, Class.limit],
      "a method taken off": ({ made }: { made(): boolean }) => made(),
    },
  },

  "functions in fields": {
    make: (wrap) =>
      wrap(
        class Fields extends DurableObject<Env> {
          readonly name = "fields";
          readonly arrow = () => this.name;
          readonly Model = RpcTarget;
          override fetch = async (request: Request) =>
            new Response(`${this.arrow()} ${this.fetch.name} ${new URL(request.url).pathname}`);
          ask() {
            return [this.arrow(), this.arrow === Reflect.get(this, "arrow"), this.Model === RpcTarget];
          }
          inside() {
            return inside(this, Fields);
          }
        },
      ),
  },

  "inherited and super": {
    make: (wrap) => {
      class Base extends DurableObject<Env> {
        readonly made: string;
        static readonly kind: string = "base";
        constructor(ctx: DurableObjectState, env: Env) {
          super(ctx, env);
          this.made = new.target.name;
        }
        static which() {
          // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
          return `${this.kind} of ${this.name}`;
        }
        greet(name: string) {
          return `hello ${name} from ${this.constructor.name}`;
        }
        only() {
          return this.greet("only");
        }
        get kind() {
          return (this.constructor as typeof Base).kind;
        }
      }
      return wrap(
        class Derived extends Base {
          static override readonly kind = "derived";
          readonly isTarget: boolean;
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            this.isTarget = new.target === Derived;
          }
          override greet(name: string) {
            return `${super.greet(name)}, ${super.kind}, ${this.isTarget}, ${this.made}`;
          }
          inside() {
            return inside(this, Derived, {
              isBase: this instanceof Base,
              hasOwn: ["greet", "only"].map((name) => Object.hasOwn(Object.getPrototypeOf(this), name)),
              inherits: this.only === Base.prototype.only,
              super: super.only === Base.prototype.only,
            });
          }
        },
      );
    },
    looks: { which: (Class: { which(): string }) => Class.which() },
  },

  "a framework's base class": {
    make: (wrap) =>
      wrap(
        class Agent extends Framework {
          #secret = 42;
          @callable("tells it") tell() {
            return this.#secret;
          }
          override onChange() {}
          hidden() {}
          inside() {
            return inside(this, Agent, { notes: this.notes, listed: this.listed() });
          }
        },
      ),
  },

  "handlers of its constructor's": {
    make: (wrap) =>
      wrap(
        class Installed extends DurableObject<Env> {
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            const handlers = { fetch: async () => new Response("installed"), alarm() {} };
            for (const [name, value] of Object.entries(handlers)) {
              if (!(name in this)) Object.defineProperty(this, name, { value, configurable: true });
            }
          }
          inside() {
            return inside(this, Installed);
          }
        },
      ),
  },

  "a handler that can not be changed": {
    make: (wrap) =>
      wrap(
        class Fixed extends DurableObject<Env> {
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            Object.defineProperty(this, "fetch", { value: async () => new Response("fixed") });
          }
          inside() {
            return inside(this, Fixed);
          }
        },
      ),
  },

  frozen: {
    make: (wrap) =>
      wrap(
        class Frozen extends DurableObject<Env> {
          #count = 0;
          override readonly fetch = async () => new Response(`frozen ${this.#count}`);
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            Object.freeze(this);
          }
          up() {
            this.#count += 1;
            return this.#count;
          }
          inside() {
            return inside(this, Frozen);
          }
        },
      ),
  },

  "a frozen class": {
    make: (wrap) =>
      wrap(
        Object.freeze(
          class Fast extends DurableObject<Env> {
            static readonly options: object = { fast: true };
            static tell() {
              // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
              return this.options;
            }
            up() {
              return Fast.options;
            }
            inside() {
              return inside(this, Fast);
            }
          },
        ),
      ),
    looks: { tell: (Class: { tell(): unknown }) => Class.tell() },
  },

  nameless: {
    make: (wrap) => {
      class Store extends DurableObject<Env> {
        up() {
          return 1;
        }
      }
      const [Nameless] = [
        class extends Store {
          inside(): object {
            return inside(this, Nameless!);
          }
        },
      ];
      return wrap(Nameless!);
    },
  },

  "members of every kind": {
    make: (wrap) =>
      wrap(
        class Kinds extends DurableObject<Env> {
          static {
            Object.defineProperty(Kinds.prototype, "late", { value: () => "late", enumerable: true });
          }
          static readonly counts = new Map<string, number>();
          static async *numbers() {
            yield 1;
            yield 2;
          }
          readonly [Symbol.toStringTag] = "Kinds";
          [Symbol.for("kinds")]() {
            return "symbol";
          }
          "a name"() {
            return Object.keys(this);
          }
          get reader() {
            return (n: number) => [n, typeof this];
          }
          set only(_: number) {}
          stream() {
            return new Response("streamed").body!;
          }
          response() {
            return new Response("a response", { status: 201, headers: { a: "b" } });
          }
          target() {
            return new (class extends RpcTarget {
              #calls = 0;
              hello() {
                this.#calls += 1;
                return this.#calls;
              }
            })();
          }
          function() {
            return (n: number) => n + 1;
          }
          nothing() {}
          date() {
            return [new Date(0), new Map([[1, new Set([2])]]), new Uint8Array(2), 3n, undefined, null];
          }
          inside() {
            return inside(this, Kinds, {
              symbol: this[Symbol.for("kinds") as never] === Kinds.prototype[Symbol.for("kinds") as never],
            });
          }
        },
      ),
    looks: {
      counts: (Class: { counts: unknown }) => Class.counts instanceof Map,
      numbers: async (Class: { numbers(): AsyncIterable<number> }) => {
        const all: number[] = [];
        for await (const n of Class.numbers()) all.push(n);
        return all;
      },
    },
  },

  "a subclass of a wrapped class, wrapped": {
    make: (wrap) => {
      const Base = wrap(
        class Inner extends DurableObject<Env> {
          #n = 1;
          static readonly options: object = { a: 1 };
          up() {
            this.#n += 1;
            return [this.#n, this.constructor.name];
          }
          same() {
            return this.up === Inner.prototype.up;
          }
        },
      );
      return wrap(
        class Outer extends Base {
          #m = 10;
          override up() {
            this.#m += 1;
            return [...super.up(), this.#m];
          }
          options() {
            return Outer.options;
          }
          inside() {
            return inside(this, Outer, { isBase: this instanceof Base, super: super.same === this.same });
          }
        },
      );
    },
  },

  "a subclass of a wrapped class": {
    make: (wrap) => {
      const Base = wrap(
        class Inner extends DurableObject<Env> {
          #n = 1;
          up() {
            this.#n += 1;
            return [this.#n, this.constructor.name];
          }
          same() {
            return this.up === Inner.prototype.up;
          }
        },
      );
      return class Sub extends Base {
        #m = 10;
        override up() {
          this.#m += 1;
          return [...super.up(), this.#m];
        }
        inside() {
          return inside(this, Sub, { isBase: this instanceof Base, super: super.same === this.same });
        }
      };
    },
  },

  "wrapped twice, and by others": {
    make: (wrap) => {
      class Core extends DurableObject<Env> {
        #n = 0;
        up() {
          this.#n += 1;
          return this.#n;
        }
        override async fetch() {
          return new Response(`core ${this.#n}`);
        }
        inside() {
          return inside(this, Core);
        }
      }
      return others(wrap(wrap(others(Core))));
    },
  },

  "a constructor that gives another object": {
    make: (wrap) =>
      wrap(
        class Stand extends DurableObject<Env> {
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            // biome-ignore lint/correctness/noConstructorReturn: some classes do this
            return new Proxy(this, {});
          }
          up() {
            return 1;
          }
          inside() {
            return inside(this, Stand);
          }
        },
      ),
  },

  "a constructor that throws": {
    make: (wrap) =>
      wrap(
        class Broken extends DurableObject<Env> {
          constructor(ctx: DurableObjectState, env: Env) {
            super(ctx, env);
            throw new RangeError("not today");
          }
          up() {}
        },
      ),
  },

  entrypoint: { make: entry, looks: { made: (Class: { made(): boolean }) => Class.made() } },

  "an entrypoint of own handlers": {
    make: (wrap) =>
      wrap(
        class Arrow extends WorkerEntrypoint<Env> {
          override fetch = async () => new Response(this.env.NAME);
          inside() {
            return inside(this, Arrow);
          }
        },
      ),
  },

  "an entrypoint as `wrangler dev` extends it": {
    make: (wrap) => {
      const Entry = entry(wrap);
      return class extends Entry {
        readonly #dispatch = (request: Request) => super.fetch(request);
        override fetch(request: Request) {
          return this.#dispatch(request);
        }
      };
    },
  },

  "an object": {
    make: (wrap) => {
      const helper = () => "helped";
      const handler = {
        helper,
        Model: RpcTarget,
        count: 0,
        async fetch(request: Request, env: Env) {
          this.count += 1;
          return told(request, env, [this === handler, this.helper === helper, this.count, Object.keys(this)]);
        },
        scheduled() {
          return this.helper();
        },
      };
      return wrap(handler);
    },
    looks: {
      ...HANDLER_LOOKS,
      identity: ({ Model, helper }: { Model: unknown; helper(): string }) => [
        Model === RpcTarget,
        helper.name,
        helper(),
      ],
      written: (handler: { count: number }) => {
        handler.count = 7;
        return [handler.count, Object.keys(handler), { ...handler, fetch: 0, helper: 0, Model: 0, scheduled: 0 }];
      },
      scheduled: ({ scheduled }: { scheduled: unknown }) => [typeof scheduled, (scheduled as () => void).name],
      "scheduled, as the platform calls it": (
        handler: { scheduled(controller: object, env: object, ctx: ExecutionContext): unknown },
        env,
        ctx,
      ) => handler.scheduled({ cron: "1", scheduledTime: 1 }, env, ctx),
    },
  },

  "an object of a class": {
    make: (wrap) => {
      class Handler {
        #count = 0;
        readonly #scheduled = async () => `ran ${this.#count}`;
        readonly fetched = () => this.#count;
        async fetch(request: Request, env: Env) {
          this.#count += 1;
          const same = this.helper === Handler.prototype.helper && this.constructor === Handler;
          return told(request, env, [this instanceof Handler, same, this.#count, this.helper()]);
        }
        get scheduled() {
          return this.#scheduled;
        }
        get count() {
          return this.#count;
        }
        set count(n: number) {
          this.#count = n;
        }
        helper() {
          return this.#count;
        }
      }
      return wrap(new Handler());
    },
    looks: {
      ...HANDLER_LOOKS,
      private: (handler: { helper(): number; count: number; fetched(): number }) => {
        handler.count = 5;
        return [handler.helper(), handler.count, handler.fetched(), Object.hasOwn(handler, "count")];
      },
      accessor: (handler: { scheduled(controller: object, env: object, ctx: ExecutionContext): unknown }, env, ctx) =>
        handler.scheduled({ cron: "1", scheduledTime: 1 }, env, ctx),
    },
  },

  "a frozen object": {
    make: (wrap) =>
      wrap(
        Object.freeze({
          routes: Object.freeze(["a"]),
          async fetch(request: Request, env: Env) {
            return told(request, env, [this.routes, Object.isFrozen(this)]);
          },
        }),
      ),
    looks: HANDLER_LOOKS,
  },

  "a frozen object of a class": {
    make: (wrap) => {
      class Handler {
        #count = 0;
        readonly fetch = async (request: Request, env: Env) => told(request, env, this.up());
        up() {
          this.#count += 1;
          return this.#count;
        }
      }
      return wrap(Object.freeze(new Handler()));
    },
    looks: { ...HANDLER_LOOKS, up: (handler: { up(): number }) => handler.up() },
  },

  "a handler that can not be changed, of an object": {
    make: (wrap) =>
      wrap(
        Object.defineProperty({}, "fetch", {
          value: async (request: Request, env: Env) => told(request, env, "fixed"),
        }),
      ),
    looks: HANDLER_LOOKS,
  },

  "a Hono app": {
    make: (wrap) => {
      const app = new Hono<{ Bindings: Env }>();
      const part = new Hono<{ Bindings: Env }>().get("/inner", (context) => context.text(context.env.NAME));
      app.use(async (context, next) => {
        await next();
        context.header("x-app", "hono");
      });
      app.route("/part", part);
      app.notFound((context) => context.text(`none ${context.req.path} ${context.env.NAME}`, 404));
      return wrap(app);
    },
    looks: {
      ...HANDLER_LOOKS,
      instanceof: (app: Hono) => app instanceof Hono,
      grows: async (app: Hono) => {
        const mounted = app.get("/late", (context) => context.text("late")).mount("/mounted", () => new Response("m"));
        const answers = [await app.request("/late"), await mounted.request("/mounted/x")];
        return [...(await Promise.all(answers.map((answer) => answer.text()))), app.routes.length];
      },
    },
  },

  "a router that is a Proxy": {
    make: (wrap) => {
      // Like itty-router: reading any property returns a method that adds a route.
      const routes: [method: string, path: string, handle: (request: Request, env: Env) => Promise<Response>][] = [];
      const router: Record<string, unknown> = new Proxy(
        {
          routes,
          async fetch(request: Request, env: Env) {
            for (const [, , handle] of routes) return handle(request, env);
            return new Response("none", { status: 404 });
          },
        },
        {
          get: (target, name, receiver) =>
            Reflect.get(target, name) ??
            ((path: string, handle: never) => {
              routes.push([String(name), path, handle]);
              return receiver;
            }),
        },
      );
      const get = router["get"] as (path: string, handle: (request: Request, env: Env) => Promise<Response>) => unknown;
      get("*", async (request, env) => told(request, env, "routed"));
      return wrap(router);
    },
    looks: {
      keys: HANDLER_LOOKS["keys"]!,
      grows: (router: Record<string, (path: string, handle: () => void) => object> & { routes: unknown[] }) => {
        const chained = router["post"]!("/x", () => {});
        return [typeof chained, router.routes.length];
      },
    },
  },

  "a wrapped object, spread": {
    make: (wrap) => ({
      ...wrap({
        helper: () => "theirs",
        async fetch(request: Request, env: Env) {
          return told(request, env, [this.helper(), Object.keys(this)]);
        },
      }),
      helper: () => "ours",
      async queue() {},
    }),
    looks: HANDLER_LOOKS,
  },

  "an object wrapped twice, and by others": {
    make: (wrap) => {
      const handler = wrap(
        wrap({
          async fetch(request: Request, env: Env) {
            return told(request, env, Object.keys(this));
          },
        }),
      );
      const { fetch } = handler;
      // Another tracer's way to wrap a handler: it replaces the method.
      handler.fetch = new Proxy(fetch, { apply: (method, self, args) => Reflect.apply(method, self, args) });
      return handler;
    },
    looks: HANDLER_LOOKS,
  },
};

function entry(wrap: Wrap) {
  return wrap(
    class Entry extends WorkerEntrypoint<Env> {
      #calls = 0;
      static #made = 0;
      static made() {
        // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
        this.#made += 1;
        // biome-ignore lint/complexity/noThisInStatic: the test observes `this`
        return this.#made > 0;
      }
      greet(name: string) {
        this.#calls += 1;
        return `${name} ${this.#calls} ${this.env.NAME} ${this.shout()}`;
      }
      shout() {
        return "!";
      }
      get calls() {
        return this.#calls;
      }
      override async fetch(request: Request) {
        return new Response(`${request.method} ${this.#calls} ${this.shout === Entry.prototype.shout} ${this.shout()}`);
      }
      inside() {
        return inside(this, Entry);
      }
    },
  );
}

/** Another tracer's way to wrap a class: it replaces the handlers in the constructor. */
function others<C extends object>(Class: C): C {
  return new Proxy(Class, {
    construct(target, args, newTarget) {
      const made = Reflect.construct(target as never, args, newTarget) as { fetch?: () => unknown };
      const { fetch } = made;
      if (fetch) made.fetch = new Proxy(fetch, { apply: (method, self, given) => Reflect.apply(method, self, given) });
      return made;
    },
  });
}
