// `opik-edge dev`: starts the viewer. The viewer is another package, so that Workers and servers don't install it.

import { builtin } from "../platform/env.js";

const { process } = globalThis as unknown as { process: { argv: string[]; exitCode: number; cwd(): string } };

interface Require {
  (name: string): { version: string };
  resolve(name: string): string;
}

/** Runs the viewer that is installed where one stands, or says how to get it. */
export async function dev(): Promise<void> {
  const { createRequire } = builtin<{ createRequire(from: string): Require }>("node:module")!;
  let viewer: string;
  try {
    viewer = createRequire(`${process.cwd()}/`).resolve("opik-edge-viewer/package.json");
  } catch {
    const { version } = createRequire(import.meta.url)("opik-edge/package.json");
    console.log(
      `The viewer is a separate package. This command gets it and starts it:\n  npx opik-edge-viewer@${version}`,
    );
    process.exitCode = 1;
    return;
  }
  process.argv.splice(2, 1);
  const { pathToFileURL } = builtin<{ pathToFileURL(path: string): URL }>("node:url")!;
  await import(new URL("dist/cli.js", pathToFileURL(viewer)).href);
}
