// Processes that end without calling `flush`: recorded rows are sent first.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { type Installed, installTarball } from "../support/installed.js";
import { PROGRAMS } from "../support/programs.js";

let collector: Collector;
let installed: Installed;
before(async () => {
  collector = await startCollector();
  installed = await installTarball();
});
after(() => closeAll(installed, collector));

/** Runs `code`, and calls `during` as soon as the program has printed something. */
async function run(runtime: string, code: string, during?: (child: ReturnType<typeof spawn>) => void) {
  const [program, args] = PROGRAMS[runtime]!;
  const file = join(installed.folder, "exit.mjs");
  await writeFile(
    file,
    `import { Opik } from "opik-edge";
     const opik = new Opik({ url: ${JSON.stringify(collector.url)}, signals: ["SIGTERM"] });
     ${code}`,
  );
  const child = spawn(program, [...args, file], { cwd: installed.folder, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.once("data", () => during?.(child));
  const [exitCode, signal] = (await once(child, "exit")) as [number | null, string | null];
  return { exitCode, signal };
}

const arrived = (name: string): boolean => collector.spans().some((span) => span["name"] === name);

for (const runtime of Object.keys(PROGRAMS)) {
  describe(`in ${runtime}`, () => {
    test("a process that runs to its end sends the waiting rows first", async () => {
      const name = `${runtime}: end`;
      const ended = await run(runtime, `opik.span({ name: "${name}" }, () => 1);`);
      assert.deepEqual([ended.exitCode, arrived(name)], [0, true]);
    });

    test("a signal ends the process after a flush", async () => {
      const name = `${runtime}: signal`;
      const code = `setInterval(() => {}, 1000); opik.span({ name: "${name}" }, () => 1); console.log("ready");`;
      const ended = await run(runtime, code, (child) => child.kill("SIGTERM"));
      assert.deepEqual(ended, { exitCode: null, signal: "SIGTERM" });
      assert.ok(arrived(name));
    });

    test("where the host listens for the signal too, the host ends the process", async () => {
      const name = `${runtime}: host`;
      const code = `const timer = setInterval(() => {}, 1000);
        process.on("SIGTERM", () => { clearInterval(timer); process.exitCode = 7; });
        opik.span({ name: "${name}" }, () => 1); console.log("ready");`;
      const ended = await run(runtime, code, (child) => child.kill("SIGTERM"));
      assert.deepEqual([ended, arrived(name)], [{ exitCode: 7, signal: null }, true]);
    });

    // Deno calls its listeners in the order in which they were added: see docs/guides/servers.md.
    if (runtime === "Deno") return;
    test("the same where the host listens once and ends the process later", async () => {
      const name = `${runtime}: once`;
      const code = `const timer = setInterval(() => {}, 1000);
        process.once("SIGTERM", () => setTimeout(() => { clearInterval(timer); process.exitCode = 8; }, 300));
        opik.span({ name: "${name}" }, () => 1); console.log("ready");`;
      const ended = await run(runtime, code, (child) => child.kill("SIGTERM"));
      assert.deepEqual([ended, arrived(name)], [{ exitCode: 8, signal: null }, true]);
    });
  });
}
