// Uses each class of classes-shapes.ts in every way, plain or traced as the request says. The steps are the same for
// every class; results and errors are returned as JSON. classes.test.ts generates the exports.

import { WorkerEntrypoint } from "cloudflare:workers";
import { withOpik } from "opik-edge/cloudflare";
import { SHAPES, type Shape, type Wrap } from "./classes-shapes.js";
import { type Row, TABLE } from "./classes-table.js";

/** The wrapper of each side. */
export const WRAPS: Readonly<Record<string, Wrap>> = {
  plain: (Class) => Class,
  traced: (Class) => withOpik(Class as never, () => ({ projectName: "classes" })) as never,
};

type Stub = Record<string, (...args: unknown[]) => Promise<unknown>> & {
  fetch(url: string, init?: RequestInit): Promise<Response>;
};

/** Every observation of the class `name`, through `stub` and on its export. */
export async function ask(
  name: keyof typeof TABLE,
  stub: Stub,
  Class: new (ctx: unknown, env: unknown) => object,
  surroundings: { readonly path: string; readonly ctx: ExecutionContext; readonly env: object },
): Promise<Record<string, unknown>> {
  const { path, ctx, env } = surroundings;
  const { base, calls = [], properties = [] } = TABLE[name] as Row;
  const { looks = {} } = SHAPES[name] as Shape;
  const answers: Record<string, unknown> = {};
  const tell = async (what: string, look: () => unknown): Promise<void> => {
    answers[what] = await shown(look);
  };
  // Named by position, because the same call may occur twice.
  for (const [at, [method, ...args]] of calls.entries()) {
    await tell(`${at} ${method}(${args})`, () => stub[method]!(...args));
  }
  for (const property of properties) await tell(`property ${property}`, () => stub[property]);
  await tell("fetch", async () => {
    const response = await stub.fetch(`http://class.test/${path}?a=b`);
    return [response.status, await response.text()];
  });
  for (const [what, look] of Object.entries(looks)) await tell(`own ${what}`, () => look(Class as never, env, ctx));
  if (base === "handler") return answers;
  await tell("inside", () => stub["inside"]!());
  // Names that RPC refuses.
  for (const method of ["missing", "constructor", "hasOwnProperty", "toString", "__proto__", "ctx", "env"]) {
    await tell(`refused ${method}`, () => stub[method]!("x"));
  }
  if (base === "WorkerEntrypoint") {
    for (const [what, look] of Object.entries(local(Class, new Class(ctx, env), calls, properties))) {
      await tell(`local ${what}`, look);
    }
  }
  for (const [what, look] of Object.entries(outside(Class))) await tell(`outside ${what}`, look);
  return answers;
}

/** Observations of an object in its own isolate, where Cloudflare's Vitest plugin calls it. */
function local(
  Class: new (...args: never[]) => object,
  object: object,
  calls: Row["calls"] & object,
  properties: readonly string[],
): Record<string, () => unknown> {
  const found = (name: string): unknown => Reflect.get(Class.prototype, name, object);
  const looks: Record<string, () => unknown> = {
    instanceof: () => [object instanceof Class, object instanceof WorkerEntrypoint],
    has: () => [Reflect.has(Class.prototype, "inside"), Reflect.has(object, "inside"), "missing" in object],
    keys: () => [Reflect.ownKeys(object).map(String), Object.hasOwn(object, "inside"), object.constructor.name],
    methods: () => calls.map(([name]) => Reflect.get(object, name) === found(name)),
    functions: () => calls.map(([name]) => [(found(name) as () => void).name, (found(name) as () => void).length]),
    written: () => {
      const held = object as Record<string, unknown>;
      held["written"] = 1;
      return [held["written"], Object.keys(object), delete held["written"], Object.keys(object)];
    },
  };
  for (const [at, [name, ...args]] of calls.entries()) {
    looks[`${at} ${name}`] = () => (found(name) as (...args: unknown[]) => unknown).apply(object, args);
  }
  for (const name of properties) looks[name] = () => found(name);
  return looks;
}

/** Observations of a class by a module that imports it. */
function outside(Class: new (...args: unknown[]) => object): Record<string, () => unknown> {
  return {
    name: () => [Class.name, Class.length, typeof Class],
    text: () => [`${Class}`, Class.toString()],
    // biome-ignore lint/suspicious/noPrototypeBuiltins: old code asks this way
    hasOwn: () => [Object.hasOwn(Class, "name"), Class.hasOwnProperty("prototype"), "made" in Class],
    keys: () => [Reflect.ownKeys(Class).map(String), Object.keys(Class)],
    descriptors: () => describe(Class),
    prototype: () => [Reflect.ownKeys(Class.prototype).map(String), Class.prototype.constructor.name],
    methods: () => describe(Class.prototype),
    sameMethods: () =>
      Object.entries(Object.getOwnPropertyDescriptors(Class.prototype)).map(([name, { value, get }]) => [
        name,
        get ? "accessor" : Class.prototype[name] === value,
      ]),
    above: () => [(Object.getPrototypeOf(Class) as { name: string }).name],
    integrity: () => [Object.isExtensible(Class), Object.isFrozen(Class), Object.isSealed(Class)],
    call: () => (Class as unknown as () => unknown)(),
    tag: () => Object.prototype.toString.call(Class),
    subclass: () => {
      class Sub extends Class {
        readonly a = 1;
      }
      return [Sub.name, Object.getPrototypeOf(Sub) === Class, Object.getPrototypeOf(Sub.prototype) === Class.prototype];
    },
    instanceof: () => [{} instanceof Class, Class instanceof Function],
    written: () => {
      const holder = Class as unknown as Record<string, unknown>;
      holder["written"] = 1;
      const seen = [holder["written"], Object.hasOwn(Class, "written"), Reflect.deleteProperty(Class, "written")];
      return [...seen, "written" in Class];
    },
  };
}

function describe(object: object): unknown[] {
  return Reflect.ownKeys(object).map((name) => {
    const { value, ...rest } = Object.getOwnPropertyDescriptor(object, name)!;
    return [
      String(name),
      typeof value,
      typeof rest.get,
      typeof rest.set,
      rest.writable,
      rest.enumerable,
      rest.configurable,
    ];
  });
}

/** The result of a look, as JSON. */
async function shown(look: () => unknown): Promise<unknown> {
  try {
    return { value: await plainly(await look()) };
  } catch (error) {
    const { name, message, stack } = error as Error;
    return { error: [name, message, (error as object).constructor.name, typeof stack] };
  }
}

async function plainly(value: unknown): Promise<unknown> {
  if (value instanceof ReadableStream) return { stream: await new Response(value).text() };
  if (value instanceof Response) return { status: value.status, a: value.headers.get("a"), text: await value.text() };
  if (value instanceof Date) return { date: value.toJSON() };
  if (value instanceof Map || value instanceof Set) {
    return { [value.constructor.name]: await Promise.all([...value].map(plainly)) };
  }
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (typeof value === "bigint") return { bigint: String(value) };
  if (value === undefined) return "undefined";
  // A stub of an object or function that stays on the other side.
  if (typeof value === "function") {
    const stub = value as unknown as Disposable & { hello?(): Promise<unknown> } & ((n: number) => Promise<unknown>);
    using used = stub;
    return { stub: await shown(() => used.hello?.()), called: await shown(() => used(1)) };
  }
  return Array.isArray(value) ? Promise.all(value.map(plainly)) : value;
}
