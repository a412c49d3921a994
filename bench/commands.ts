// The commands of a contender, in any process or isolate.

import type { Contender, Delivered } from "./contender.js";
import { type Shape, shapeOf } from "./shapes.js";
import type { Sink } from "./sink.js";

/** A command loads the contender, runs a number of requests, shows what one request delivers, or measures the heap. */
export type Command =
  | { readonly load: true }
  | { readonly run: number; readonly shape: string; readonly concurrent?: number }
  | { readonly run: number; readonly headers: true }
  | { readonly show: string }
  | { readonly heap: "as it is" | "collected" };

/** The result of a command. */
export interface Answer {
  readonly requests?: number;
  readonly bytes?: number;
  readonly delivered?: Delivered[];
  readonly heap?: number;
}

const shapes = new Map<string, Shape>();

function shape(name: string): Shape {
  const known = shapes.get(name) ?? shapeOf(name);
  shapes.set(name, known);
  return known;
}

/** Executes a command with the contender that `load` gives. */
export async function obey(
  load: () => Promise<{ contender: Contender }>,
  sink: Sink,
  command: Command,
): Promise<Answer> {
  const { contender } = await load();
  if ("load" in command) return {};
  if ("show" in command) return show(contender, sink, command.show);
  if ("heap" in command) return { heap: heapBytes(command.heap === "collected") };
  const before = { ...sink };
  if ("headers" in command) runHeaders(contender, command.run);
  else await runRequests(contender, shape(command.shape), command.run, command.concurrent ?? 1);
  return { requests: sink.requests - before.requests, bytes: sink.bytes - before.bytes };
}

async function runRequests(contender: Contender, of: Shape, requests: number, concurrent: number): Promise<void> {
  if (concurrent === 1) {
    for (let n = 0; n < requests; n += 1) await contender.request(of);
    return;
  }
  for (let n = 0; n < requests; n += concurrent) {
    await Promise.all(Array.from({ length: concurrent }, () => contender.request(of)));
  }
}

function runHeaders({ headers }: Contender, times: number): void {
  if (!headers) throw new Error("it hands nothing on");
  let length = 0;
  for (let n = 0; n < times; n += 1) length += Object.keys(headers()).length;
  if (length === 0) throw new Error("it gave no headers");
}

async function show(contender: Contender, sink: Sink, name: string): Promise<Answer> {
  sink.kept = [];
  await contender.request(shape(name));
  const { kept } = sink;
  sink.kept = undefined;
  return {
    requests: kept.length,
    bytes: kept.reduce((bytes, { body }) => bytes + body.byteLength, 0),
    delivered: (await contender.read?.(kept)) ?? [],
  };
}

/** With its buffers, in Node; a collection wants `--expose-gc`. */
function heapBytes(collected: boolean): number {
  if (collected) (globalThis as unknown as { gc(): void }).gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
