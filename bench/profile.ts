// Where a contender's time goes: V8's profile of many requests, as a list.

import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Installed } from "../tests/support/installed.js";
import { PROGRAMS } from "../tests/support/programs.js";
import { programOf } from "./bundle.js";
import type { Entry } from "./contenders.js";
import { startPlayer } from "./players.js";

/** The number of lines, and the microseconds between two samples. */
const LINES = 40;
const INTERVAL = 100;

interface Profile {
  readonly nodes: readonly Node[];
  /** By the sample: a node, and the microseconds since the one before. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}
interface Node {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

/**
 * Microseconds of a request in a Node, by function: in the function itself, and with its callees. The time before the
 * first request is left out.
 */
export async function profile(
  installed: Installed,
  runtime: string,
  entry: Entry,
  shape: string,
  requests: number,
): Promise<string> {
  const folder = join(installed.folder, "profile");
  await mkdir(folder, { recursive: true });
  const args = ["--cpu-prof", `--cpu-prof-interval=${INTERVAL}`, `--cpu-prof-dir=${folder}`];
  const [program] = PROGRAMS[runtime]!;
  const player = await startPlayer(entry, program, [...args, ...(await programOf(installed, entry.file))]);
  try {
    await player.ask({ load: true });
    await player.ask({ run: requests, shape });
  } finally {
    await player.close();
  }
  const [file] = await readdir(folder);
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(join(folder, file!), "utf8")) as Profile;
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const own = new Map<string, number>();
  const all = new Map<string, number>();
  let begun = false;
  samples.forEach((id, index) => {
    const above = new Set<string>();
    // A function that calls itself counts once.
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) above.add(nameOf(byId.get(at)!));
    begun ||= [...above].some((name) => name.startsWith("runRequests "));
    const name = nameOf(byId.get(id)!);
    if (!begun || name.startsWith("(idle)")) return;
    const micros = timeDeltas[index]! / requests;
    add(own, name, micros);
    for (const one of above) add(all, one, micros);
  });
  return `in itself, µs for each request\n${listed(own)}\n\nwith its callees\n${listed(all)}`;
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: Node): string {
  return `${functionName || "(anonymous)"} ${url.split("/").slice(-2).join("/")}:${lineNumber + 1}`;
}

function add(to: Map<string, number>, name: string, micros: number): void {
  to.set(name, (to.get(name) ?? 0) + micros);
}

function listed(micros: ReadonlyMap<string, number>): string {
  const top = [...micros].sort(([, a], [, b]) => b - a).slice(0, LINES);
  return top.map(([name, value]) => `${value.toFixed(2).padStart(9)}  ${name}`).join("\n");
}
