// The servers around the consumers, all on 127.0.0.1: a page's site, an npm registry, and consumers that are servers
// themselves.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Installed } from "../support/installed.js";
import { freePort } from "../support/ports.js";
import { endWithUs } from "../support/processes.js";

/** A running server. */
export interface Running {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  close(): Promise<void>;
}

const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript" };

/**
 * Starts the server of a page. It serves files, each from the first of `folders` that has it, the installed package's
 * relay, and everything below `/echo`, which answers with the headers it received.
 */
export async function startSite(installed: Installed, opikUrl: string, folders: readonly string[]): Promise<Running> {
  const entry = pathToFileURL(join(installed.folder, "node_modules/opik-edge/pkg/relay/index.js"));
  const { relay } = (await import(entry.href)) as typeof import("opik-edge/relay");
  // Any port is allowed, because a bundler's development server stands before this server.
  const handle = relay({ url: opikUrl, origins: [({ hostname }) => hostname === "127.0.0.1"] });

  return listen(async (request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    if (pathname.startsWith("/echo")) return response.end(JSON.stringify({ headers: request.headers }));
    if (pathname === "/opik") {
      const answer = await handle(await requestOf(request));
      return response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    }
    const name = pathname === "/" ? "/index.html" : pathname;
    for (const folder of folders) {
      const file = await readFile(join(folder, name)).catch(() => undefined);
      if (file) return response.writeHead(200, { "content-type": TYPES[extname(name)] }).end(file);
    }
    return response.writeHead(404).end();
  });
}

async function requestOf(request: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return new Request(`http://${request.headers.host}${request.url}`, {
    method: request.method!,
    headers: request.headers as Record<string, string>,
    body: Buffer.concat(chunks),
  });
}

/** Starts an npm registry with only the tarball. */
export async function startRegistry({ folder, tarball }: Installed): Promise<Running> {
  const manifest = JSON.parse(await readFile(join(folder, "node_modules/opik-edge/package.json"), "utf8"));
  const { name, version } = manifest;
  const lock = JSON.parse(await readFile(join(folder, "package-lock.json"), "utf8"));
  const { integrity } = lock.packages[`node_modules/${name}`];
  return listen(async (request, response) => {
    if (request.url === "/tarball.tgz") return response.end(await readFile(tarball));
    if (request.url !== `/${name}`) return response.writeHead(404).end();
    const dist = { tarball: `http://${request.headers.host}/tarball.tgz`, integrity };
    const versions = { [version]: { ...manifest, dist } };
    return response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
  });
}

async function listen(listener: RequestListener): Promise<Running> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A program that is a server. */
export interface Program {
  readonly program: string;
  /** Its arguments for the port to listen on, which is in the variable `PORT` too. */
  readonly args: (port: number) => readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Starts a program, and waits until it listens. */
export async function startProgram({ program, args, cwd, env }: Program): Promise<Running> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(program, args(port), {
    cwd,
    env: { ...env, PORT: `${port}`, ORIGIN: url },
    stdio: ["ignore", "pipe", "pipe"],
    // In its own process group, so that its children end with it.
    detached: true,
  });
  endWithUs(child);
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => log.push(String(text)));
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", (error) => resolve(void log.push(String(error))));
  });
  let hasEnded = false;
  void ended.then(() => {
    hasEnded = true;
  });
  while (!(await isListening(port))) {
    if (hasEnded) throw new Error(`${program} has ended:\n${log.join("")}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    close: async () => {
      if (!hasEnded) process.kill(-child.pid!, "SIGTERM");
      await ended;
    },
  };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
