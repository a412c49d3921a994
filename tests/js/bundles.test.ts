// Optional parts of the package are in a bundle only if it imports them.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { build } from "esbuild";
import { ROOT } from "../support/worker.js";

const WORKER = `
  import { withOpik } from "opik-edge/cloudflare";
  import { span } from "opik-edge";
  export default withOpik({ fetch: () => span({}, () => new Response()) }, () => ({}));`;
const SIGNED = `
  import { withOpik } from "opik-edge/cloudflare";
  import { signed } from "opik-edge/relay";
  export default withOpik({ fetch: () => new Response() }, () => ({ trust: signed({ secrets: [] }) }));`;

/** Patterns that occur only in one part of the package, in whatever file that part is. */
const TOKENS = /HMAC|base64url|tokens\./;
const RELAY = /method_not_allowed|rate_limited|foreign_project/;
const OBSERVERS = /observer_failed/;
const MODELS = /\/chat\/completions|llm_bg/;
const AI_SDK = /opikTelemetry|doGenerate/;
const PROCESSES = /beforeExit|prependListener/;
const PAGES = /visibilitychange|pagehide|"online"|indexedDB/;

/** The text of a bundle. A bundle for Node has every part that concerns processes and pages. */
async function bundled(
  contents: string,
  conditions: string[],
  platform: "browser" | "node" = "browser",
): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: ROOT },
    bundle: true,
    write: false,
    format: "esm",
    platform,
    target: "es2022",
    conditions,
    external: ["*.wasm", "*.wasm?module", "node:*", "cloudflare:*"],
  });
  return outputFiles[0]!.text;
}

test("an entry is itself, opik.js, core.js, and the reader of model calls and the text of each module that it needs", async () => {
  const { exports } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  for (const { default: path } of Object.values<{ default?: string }>(exports)) {
    if (path === undefined) continue;
    const shared = ["pkg/core.js", "pkg/opik.js", "pkg/platform/wasm/inline.js"];
    if (/llm|vercel|otel/.test(path)) shared.push("pkg/llm/reader.js", "pkg/llm/wasm/inline.js");
    const { metafile } = await build({
      entryPoints: [join(ROOT, path)],
      absWorkingDir: ROOT,
      bundle: true,
      write: false,
      metafile: true,
      format: "esm",
      platform: "node",
    });
    const others = Object.keys(metafile.inputs).filter((file) => `./${file}` !== path);
    assert.deepEqual(
      others.filter((file) => !shared.includes(file)),
      [],
      path,
    );
  }
});

test("a bundle of everything, for Node, has each part", async () => {
  const text = await bundled(
    `export * from "opik-edge"; export * from "opik-edge/relay"; export * from "opik-edge/llm"; export * from "opik-edge/ai-sdk"; export * from "opik-edge/otel";`,
    [],
    "node",
  );
  for (const part of [TOKENS, RELAY, OBSERVERS, MODELS, AI_SDK, PROCESSES, PAGES]) assert.match(text, part);
});

describe("a Worker's bundle", () => {
  test("contains no byte of tokens, the relay, observers or models unless it asks for them", async () => {
    const text = await bundled(WORKER, ["workerd", "worker"]);
    assert.match(text, /traceRequest/, "it is the package that is looked at");
    for (const part of [TOKENS, RELAY, OBSERVERS, MODELS, AI_SDK]) assert.doesNotMatch(text, part);
  });

  test("contains only the tokens of the relay when it believes signed callers", async () => {
    const text = await bundled(SIGNED, ["workerd", "worker"]);
    assert.match(text, TOKENS);
    assert.doesNotMatch(text, RELAY);
  });

  test("has no code for the end of pages and processes", async () => {
    for (const conditions of [["workerd", "worker"], ["edge-light"]]) {
      const text = await bundled(WORKER, conditions);
      for (const part of [PROCESSES, PAGES]) assert.doesNotMatch(text, part);
    }
  });
});

test("a page's bundle has no code for processes", async () => {
  const text = await bundled(WORKER, []);
  assert.match(text, PAGES, "it is a page's");
  assert.doesNotMatch(text, PROCESSES);
});
