// The types of the tarball, as strict consumers check them: in pages, Workers and Node, however they resolve modules.

import { cp } from "node:fs/promises";
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
  // Most users' compiler; it takes ten times as long.
  check("typescript-5", platform, "nodenext", "nodenext", false);
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
