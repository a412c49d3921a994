// The types of the tarball, as strict consumers check them: in pages, Workers and Node, with every kind of module
// resolution.

import assert from "node:assert/strict";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before } from "node:test";
import { type Installed, installTarball } from "../support/installed.js";
import { ROOT } from "../support/worker.js";
import { runTool, TOOLS, testConsumer, toolFolder } from "./tools.js";

let installed: Installed;
before(async () => {
  // Below the tools' node_modules, where the types of the platforms are.
  installed = await installTarball(TOOLS);
  await cp(join(ROOT, "tests/package/consumers/types"), installed.folder, { recursive: true });
  for (const file of ["api.ts", "node.ts", "cloudflare/worker.ts"]) {
    await cp(join(ROOT, "tests/types", file), join(installed.folder, basename(file)));
  }
});
after(() => installed.remove());

const RESOLUTIONS = [
  ["node16", "node16"],
  ["nodenext", "nodenext"],
  ["esnext", "bundler"],
] as const;

for (const platform of ["page", "worker", "node"]) {
  for (const [module, resolution] of RESOLUTIONS) {
    for (const skipLibCheck of [false, true]) check("typescript", platform, module, resolution, skipLibCheck);
  }
  // The compiler of most users; it takes ten times as long.
  check("typescript-5", platform, "nodenext", "nodenext", false);
}

/** The compiler's messages for the misuses in tests/types/api.ts. */
const COMPLAINTS = [
  "Property 'refused' does not exist on type",
  "'provider' does not exist in type 'LlmOptions'. Did you mean to write 'providers'?",
  "Type '(options?: LlmOptions | undefined) => CallObserver' is not assignable to type 'CallObserver'",
  "'header' does not exist in type 'OtlpOptions'. Did you mean to write 'headers'?",
  "'parents' does not exist in type 'AiSdkOptions'. Did you mean to write 'parent'?",
  "'fetch' does not exist in type 'AiBinding'",
  `Type '"agent"' is not assignable to type 'SpanType`,
  "Argument of type '(current: string) => string' is not assignable to parameter of type '(span: Span) => string'",
  "'apikey' does not exist in type 'OpikConfig'. Did you mean to write 'apiKey'?",
  "'model' does not exist in type 'TraceFields'",
  "Argument of type 'boolean' is not assignable to parameter of type 'number'",
  `Type '"camel"' is not assignable to type 'HeaderSpelling`,
  "'nmae' does not exist in type 'TrackOptions'",
  "'name' does not exist in type 'AnyFunction'",
  `is not assignable to type '"projctName is no setting of opik-edge"'`,
  "Argument of type '() => string' is not assignable to parameter of type '(env: unknown, trigger: Trigger) => never'",
];

for (const compiler of ["typescript", "typescript-5"]) {
  testConsumer(`${compiler}: who misuses it is told how, in a line`, compiler, async () => {
    const source = await readFile(join(installed.folder, "api.ts"), "utf8");
    const lines = source.split("\n").filter((line) => !line.startsWith("// @ts-expect-error"));
    assert.equal(source.split("\n").length - lines.length, COMPLAINTS.length);
    const folder = join(installed.folder, `misuse-${compiler}`);
    await mkdir(folder);
    await writeFile(join(folder, "misuse.ts"), lines.join("\n"));
    const project = { extends: "../tsconfig.page.json", files: ["misuse.ts"] };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify(project));
    const tsc = join(toolFolder(compiler), "bin/tsc");
    const args = [tsc, "--project", ".", "--module", "nodenext", "--pretty", "false"];
    const output = await failing(process.execPath, args, folder);
    for (const complaint of COMPLAINTS) assert.ok(output.includes(complaint), `${complaint}\n\n${output}`);
    assert.equal(output.match(/: error TS/g)?.length, COMPLAINTS.length, output);
  });
}

/** The output of a command that has to fail. */
async function failing(command: string, args: readonly string[], cwd: string): Promise<string> {
  return runTool(command, args, cwd).then(
    (output) => assert.fail(`it complains of nothing: ${output}`),
    ({ message }: Error) => message,
  );
}

function check(compiler: string, platform: string, module: string, resolution: string, skipLibCheck: boolean): void {
  const name = `${compiler}: ${platform}, ${resolution}${skipLibCheck ? "" : ", declarations too"}`;
  testConsumer(name, compiler, async () => {
    const options = Object.entries({
      project: `tsconfig.${platform}.json`,
      module,
      moduleResolution: resolution,
      skipLibCheck: `${skipLibCheck}`,
    });
    const args = options.flatMap(([option, value]) => [`--${option}`, value]);
    const tsc = join(toolFolder(compiler), "bin/tsc");
    await runTool(process.execPath, [tsc, ...args], installed.folder);
  });
}
