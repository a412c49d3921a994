// What a bundle carries: of what only some need, nothing where nobody imports it.

import assert from "node:assert/strict";
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

/** The files of the package that are in a bundle, and the bundle's text. */
async function bundled(contents: string, conditions: string[]): Promise<{ files: string[]; text: string }> {
  const { metafile, outputFiles } = await build({
    stdin: { contents, resolveDir: ROOT },
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    conditions,
    external: ["*.wasm", "*.wasm?module", "node:*", "cloudflare:*"],
  });
  const [output] = Object.values(metafile.outputs);
  const files = Object.entries(output!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { files: files.map(([file]) => file.replace(/^pkg\//, "")).sort(), text: outputFiles[0]!.text };
}

describe("a Worker's bundle", () => {
  test("has no byte of tokens unless it asks for them", async () => {
    const { files, text } = await bundled(WORKER, ["workerd", "worker"]);
    assert.ok(files.includes("server/trust.js"), "it is the package that is looked at");
    assert.deepEqual(
      files.filter((file) => file.startsWith("relay/")),
      [],
    );
    assert.doesNotMatch(text, /HMAC|base64url|tokens\./);
  });

  test("has of the relay the tokens alone where it believes signed callers", async () => {
    const { files } = await bundled(SIGNED, ["workerd", "worker"]);
    const ofRelay = files.filter((file) => file.startsWith("relay/"));
    assert.deepEqual(ofRelay, ["relay/signed.js", "relay/token.js"]);
  });

  test("has nothing of pages and processes, whose end is told of", async () => {
    for (const conditions of [["workerd", "worker"], ["edge-light"]]) {
      const { files, text } = await bundled(WORKER, conditions);
      assert.deepEqual(
        files.filter((file) => /^browser\/(?!none\.js)|^platform\/host\//.test(file)),
        [],
      );
      assert.doesNotMatch(text, /beforeExit|prependListener|visibilitychange|pagehide|"online"|indexedDB/);
    }
  });
});

test("a page's bundle has nothing of processes", async () => {
  const { files, text } = await bundled(WORKER, []);
  assert.ok(files.includes("browser/outbox.js"), "it is a page's");
  assert.ok(!files.includes("platform/host/process.js"));
  assert.doesNotMatch(text, /beforeExit|prependListener/);
});
