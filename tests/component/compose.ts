// The three parts around a service, composed as component/traced.wac says. It is for users' `wac`, which has no package; these
// tests read it and compose with wasm-tools.

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../support/worker.js";
import { BUILT, tool } from "./serve.js";

const run = promisify(execFile);

interface World {
  readonly imports: string[];
  readonly exports: string[];
}

/** The names of a component's imports and exports: `wasi:http/handler@0.3.2`. */
async function worldOf(file: string): Promise<World> {
  const { stdout } = await run(tool("wasm-tools"), ["component", "wit", file], { maxBuffer: 1e8 });
  const world = /world root \{(.*?)\n\}/s.exec(stdout)![1]!;
  const names = (what: string) =>
    [...world.matchAll(new RegExp(`^  ${what} ([^;]+);`, "gm"))].map((match) => match[1] as string);
  return { imports: names("import"), exports: names("export") };
}

/** An instance of component/traced.wac: its name, its package, and the instances whose exports it imports. */
interface Instance {
  readonly name: string;
  readonly component: string;
  readonly sources: string[];
}

/** Reads the part of WAC that component/traced.wac uses. */
export function readWac(text: string): { instances: Instance[]; exported: string } {
  const code = text.replaceAll(/\/\/.*/g, "").trim();
  const instances: Instance[] = [];
  let exported = "";
  for (const statement of code.split(";").map((part) => part.trim())) {
    const [, name, component, list] = /^let (\w+) = new ([\w:-]+) \{ (.*?)\.\.\. \}$/s.exec(statement) ?? [];
    const [, whole] = /^export (\w+)\.\.\.$/.exec(statement) ?? [];
    if (name !== undefined) {
      const sources = [...list!.matchAll(/\.\.\.(\w+),/g)].map((match) => match[1] as string);
      instances.push({ name, component: component as string, sources });
    } else if (whole !== undefined) exported = whole;
    else if (statement !== "" && !statement.startsWith("package ")) throw new Error(`not understood: ${statement}`);
  }
  return { instances, exported };
}

/** Composes the parts around a service. Returns the file of the composition. */
export async function traced(service: string, out: string): Promise<string> {
  const { instances, exported } = readWac(await readFile(join(ROOT, "component/traced.wac"), "utf8"));
  const files: Record<string, string> = {
    "opik:tracer": join(BUILT, "opik-tracer.wasm"),
    "opik:handler": join(BUILT, "opik-handler.wasm"),
    "app:service": service,
  };
  const worlds = new Map<string, World>();
  for (const { name, component } of instances) worlds.set(name, await worldOf(files[component]!));
  const config: { dependencies: Record<string, string>; instantiations: Record<string, object> } = {
    dependencies: {},
    instantiations: {},
  };
  for (const { name, component, sources } of instances) {
    const args = sources.flatMap((source) =>
      worlds.get(source)!.exports.flatMap((found) => {
        // A version of the same line fits, as for wac.
        const wanted = worlds.get(name)!.imports.find((item) => item.split("@")[0] === found.split("@")[0]);
        return wanted === undefined ? [] : [[wanted, { instance: source }]];
      }),
    );
    const instance = { arguments: Object.fromEntries(args) };
    if (name === exported) config.instantiations["root"] = instance;
    else {
      config.dependencies[name] = files[component]!;
      config.instantiations[name] = { dependency: name, ...instance };
    }
  }
  const root = files[instances.find(({ name }) => name === exported)!.component]!;
  const folder = join(BUILT, "composed");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${out}.json`), JSON.stringify(config));
  const file = join(folder, `${out}.wasm`);
  // JSON is YAML, which it reads.
  await run(tool("wasm-tools"), ["compose", "-c", join(folder, `${out}.json`), root, "-o", file]);
  return file;
}
