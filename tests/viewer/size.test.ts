// The sizes of the page, of the server, and of the reader that it loads for OpenTelemetry, as gzip. The test of the command checks the tarball's size.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ASSETS } from "../../viewer/generated/assets.js";
import { ROOT } from "../support/worker.js";

const MAX_BYTES = 60 * 1024;
const MAX_READER_BYTES = 45 * 1024;

test("the page has at most 60 KB, and so has the server with the page in it", async () => {
  const page = Object.values(ASSETS.files).reduce((sum, { text }) => sum + gzipSync(text).length, 0);
  const server = gzipSync(await readFile(join(ROOT, "viewer/dist/server.js"))).length;
  assert.ok(page <= MAX_BYTES && server <= MAX_BYTES, `page ${page}, server ${server}`);
});

test("the reader of OpenTelemetry's attributes has at most 45 KB, outside the server's file", async () => {
  const [reader, server] = await Promise.all(
    ["attributes", "server"].map((name) => readFile(join(ROOT, `viewer/dist/${name}.js`))),
  );
  assert.ok(gzipSync(reader!).length <= MAX_READER_BYTES, `${gzipSync(reader!).length}`);
  assert.ok(!server!.includes("WebAssembly"));
});

test("the package needs no other package", async () => {
  const manifest = JSON.parse(await readFile(join(ROOT, "viewer/package.json"), "utf8"));
  const { version } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  assert.deepEqual(
    [manifest.dependencies, manifest.optionalDependencies, manifest.peerDependencies],
    [undefined, undefined, undefined],
  );
  assert.equal(manifest.version, version);
});
