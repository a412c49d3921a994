// What scripts/audit.mjs makes of what a registry answers: npm itself asks one on this machine.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { ROOT } from "../support/worker.js";

/** How the script ends, and what it prints, where the registry answers so. */
async function audit(answer: RequestListener | undefined): Promise<{ code: number; printed: string }> {
  const server = createServer(answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  if (!answer) server.close(); // nobody is there
  // npm remembers what it was told.
  const cache = await mkdtemp(join(tmpdir(), "opik-edge-npm-"));
  const args = ["scripts/audit.mjs", `--registry=http://127.0.0.1:${port}/`, `--cache=${cache}`];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  server.closeAllConnections();
  server.close();
  await rm(cache, { recursive: true });
  return { code: code as number, printed };
}

/** A registry that knows this of esbuild, and nothing of anything else. */
const knowing = (severity: string): RequestListener => {
  const advisory = { id: 1, url: "https://a.test/1", title: "t", severity, vulnerable_versions: "*", cwe: [] };
  return (request, response) => {
    request.resume();
    const isBulk = request.url === "/-/npm/v1/security/advisories/bulk";
    const versions = { "0.28.2": { name: "esbuild", version: "0.28.2" } };
    if (isBulk) response.end(JSON.stringify(severity ? { esbuild: [advisory] } : {}));
    else if (request.url === "/esbuild") response.end(JSON.stringify({ name: "esbuild", versions, "dist-tags": {} }));
    else response.writeHead(404).end("{}");
  };
};

test("a finding fails, and is named", async () => {
  const { code, printed } = await audit(knowing("high"));
  assert.equal(code, 1, printed);
  assert.match(printed, /high: esbuild/);
});

test("what is of no concern for tools is named, and fails nothing", async () => {
  const { code, printed } = await audit(knowing("low"));
  assert.equal(code, 0, printed);
  assert.match(printed, /low: esbuild/);
});

for (const [what, answer] of Object.entries<RequestListener | undefined>({
  "answers nothing of the kind": (request, response) => {
    request.resume();
    response.writeHead(405).end();
  },
  "is not there": undefined,
})) {
  test(`one that ${what} is named, and fails nothing`, async () => {
    const { code, printed } = await audit(answer);
    assert.equal(code, 0, printed);
    assert.match(printed, /npm audit, \.: not asked: ./);
  });
}
