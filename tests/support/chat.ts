// The chat of examples/browser with everything it needs: the site, the chat Worker and the Python server. Used by
// scripts/demo and the tests.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { Response } from "miniflare";
import type { Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { startExample } from "./example.js";
import { freePort } from "./ports.js";
import { startPython } from "./python.js";
import { ROOT, startWorker, wranglerOptions } from "./worker.js";

/** A running chat. */
export interface Chat {
  /** URL of the page. */
  readonly url: string;
  readonly chatUrl: string;
  readonly pythonUrl: string;
  close(): Promise<void>;
}

/** Options of `startChat`. */
export interface ChatOptions {
  /** The site's port (default: any free port). */
  readonly port?: number;
  /** Where the page links to traces, by id. */
  readonly tracesUrl?: string;
  readonly bindings?: Record<string, string>;
  readonly onLog?: (line: string) => void;
}

/** Starts the chat, with `upstream` as its model. */
export async function startChat(opikUrl: string, upstream: Upstream, options: ChatOptions = {}): Promise<Chat> {
  const port = options.port ?? (await freePort());
  const origin = `http://127.0.0.1:${port}`;
  const bindings = {
    OPIK_PROJECT_NAME: "chat",
    OPIK_URL_OVERRIDE: opikUrl,
    TOKEN_SECRET: "for this machine only: not a secret",
    ...options.bindings,
  };
  const onLog = options.onLog ?? (() => {});
  const python = await startPython(opikUrl, { env: { OPIK_PROJECT_NAME: bindings.OPIK_PROJECT_NAME } });
  const chat = await startExample(opikUrl, upstream, {
    bindings: { ...bindings, RETRIEVER_URL: python.url, PAGE_ORIGIN: origin },
    onLog,
  });
  const traces = options.tracesUrl ? { TRACES_URL: options.tracesUrl } : undefined;
  const site = await startWorker("examples/browser/src/site.ts", {
    ...(await wranglerOptions("examples/browser")),
    port,
    bindings: { ...bindings, SITE_ORIGIN: origin, CHAT_URL: chat.url, ...traces },
    miniflare: { serviceBindings: { ASSETS: serveAssets } },
    onLog,
  });
  return {
    url: site.url,
    chatUrl: chat.url,
    pythonUrl: python.url,
    close: async () => {
      await site.close();
      await chat.close();
      await python.close();
    },
  };
}

const TYPES: Record<string, string> = { html: "text/html", css: "text/css" };

/** Serves examples/browser/public as the platform would, with the page's script as `npm run build` makes it. */
async function serveAssets({ url }: { url: string }): Promise<Response> {
  const { pathname } = new URL(url);
  const name = pathname === "/" ? "index.html" : pathname.slice(1);
  if (name === "page.js") return new Response(await bundlePage(), { headers: { "content-type": "text/javascript" } });
  const type = TYPES[name.split(".").at(-1) as string];
  const file = await readFile(join(ROOT, "examples/browser/public", name)).catch(() => undefined);
  if (!file || !type || name.includes("..")) return new Response("not found\n", { status: 404 });
  return new Response(file, { headers: { "content-type": `${type}; charset=utf-8` } });
}

async function bundlePage(): Promise<string> {
  const result = await build({
    entryPoints: [join(ROOT, "examples/browser/src/page.ts")],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    // The package under test instead of an installed copy.
    alias: { "opik-edge": join(ROOT, "pkg/index.js") },
  });
  return result.outputFiles[0]!.text;
}
