// Bytes that each contender adds to a Worker, by the same bundler with the same settings.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipped } from "../scripts/sizes.mjs";
import type { Installed } from "../tests/support/installed.js";
import { bundleWorker } from "./bundle.js";
import { type Entry, OURS, PEERS, UNTRACED, WRAPPED } from "./contenders.js";

/** Bytes more than without tracing; a WebAssembly module is counted as it is. */
export interface BundleSize {
  readonly entry: Entry;
  readonly minified: number;
  readonly gzip: number;
}

/** Measures all of them. */
export async function bundleSizes(installed: Installed): Promise<BundleSize[]> {
  const wasm = await readFile(join(installed.folder, "node_modules/opik-edge/pkg/core_bg.wasm"));
  const measure = async (entry: Entry): Promise<BundleSize> => {
    const source = `export { contender } from "./contenders/${entry.file}.js";`;
    const code = Buffer.from(await bundleWorker(installed, source));
    const module = PEERS.includes(entry) || entry === UNTRACED ? new Uint8Array() : wasm;
    return {
      entry,
      minified: code.byteLength + module.byteLength,
      gzip: gzipped(code) + (module.byteLength > 0 ? gzipped(module) : 0),
    };
  };
  const without = await measure(UNTRACED);
  const sizes: BundleSize[] = [];
  for (const entry of [OURS, WRAPPED, ...PEERS]) {
    const { minified, gzip } = await measure(entry);
    sizes.push({ entry, minified: minified - without.minified, gzip: gzip - without.gzip });
  }
  return sizes;
}
