// Compiles the types that `wrangler types` generates for a Worker whose classes and handler are wrapped. A binding has the
// methods of its wrapped class.

import assert from "node:assert/strict";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import { type Installed, installTarball } from "../support/installed.js";
import { ROOT } from "../support/worker.js";
import { runTool, TOOLS, testConsumer, toolFolder } from "./tools.js";

let installed: Installed;
before(async () => {
  installed = await installTarball(TOOLS);
  await cp(join(ROOT, "tests/package/consumers/worker-types"), installed.folder, { recursive: true });
  await runTool("wrangler", ["types"], installed.folder);
});
after(() => installed.remove());

testConsumer("wrangler types: a binding is of the class that is exported", "wrangler", async () => {
  const generated = await readFile(join(installed.folder, "worker-configuration.d.ts"), "utf8");
  assert.match(generated, /ROOM: DurableObjectNamespace<import\("\.\/src\/index"\)\.Room>/);
  assert.match(generated, /SEARCH: Service<typeof import\("\.\/src\/index"\)\.Search>/);
});

for (const compiler of ["typescript", "typescript-5"]) {
  const check = (...options: string[]) =>
    runTool(process.execPath, [join(toolFolder(compiler), "bin/tsc"), "--project", ".", ...options], installed.folder);

  testConsumer(`${compiler}: what wrangler types has generated`, compiler, async () => {
    await check();
  });

  // With the declarations checked, the compiler reports only the class that is exported without its type.
  testConsumer(`${compiler}: a class that is exported without its type`, compiler, async () => {
    const said = await check("--skipLibCheck", "false", "--pretty", "false").then(
      () => "",
      ({ message }: Error) => message,
    );
    assert.match(said, /no exported member 'Bare'/);
    assert.equal(said.match(/: error TS/g)?.length, 1, said);
  });
}
