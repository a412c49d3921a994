// scripts/audit.mjs against answers of a registry: npm itself asks a registry on this machine.

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

/** Runs the script against a registry with this answer; gives its exit code and its output. */
async function audit(answer: RequestListener | undefined): Promise<{ code: number; printed: string }> {
  const server = createServer(answer);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  if (!answer) server.close(); // nothing listens there
  // npm caches answers, so each run has its own cache.
  const cache = await mkdtemp(join(tmpdir(), "opik-edge-npm-"));
  const args = ["scripts/audit.mjs", `--registry=http://127.0.0.1:${port}/`, `--cache=${cache}`];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  server.closeAllConnections();
  server.close();
  await rm(cache, { recursive: true });
  return { code: code as number, printed };
}

/** A registry with an advisory of this severity for esbuild, and with no other package. */
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

test("a finding is printed, and the script fails", async () => {
  const { code, printed } = await audit(knowing("high"));
  assert.equal(code, 1, printed);
  assert.match(printed, /high: esbuild/);
});

test("a finding that does not matter for tools is printed, and the script succeeds", async () => {
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
  test(`a registry that ${what} is printed, and the script succeeds`, async () => {
    const { code, printed } = await audit(answer);
    assert.equal(code, 0, printed);
    assert.match(printed, /npm audit, \.: not asked: ./);
  });
}
