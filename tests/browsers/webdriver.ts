// Drives a browser by WebDriver over HTTP (W3C WebDriver), without a package, in the same way for all three.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/ports.js";
import { endWithUs } from "../support/processes.js";

/** A browser with one window. */
export interface Browser {
  readonly version: string;
  /** Loads a page. */
  goTo(url: string): Promise<void>;
  /** Calls a function of the page, and returns the value that its promise resolves to. */
  call(name: string, ...args: unknown[]): Promise<unknown>;
  /** Types into the first element that `selector` finds. */
  type(selector: string, text: string): Promise<void>;
  /** Clicks the last element that `selector` finds. */
  click(selector: string): Promise<void>;
  /** The visible texts of the elements that `selector` finds. */
  texts(selector: string): Promise<string[]>;
  /** Opens another tab and switches to it; returns a function that closes it and switches back. */
  openTab(): Promise<() => Promise<void>>;
  /** Hides the window; returns a function that shows it again. */
  hide(): Promise<() => Promise<void>>;
  /** Cuts the browser off from the network, or reconnects it. Only Chromium has such a command. */
  setOffline?: (offline: boolean) => Promise<void>;
  /** The visible page as a PNG, in base64. */
  screenshot(): Promise<string>;
  close(): Promise<void>;
}

interface Kind {
  readonly driver: (port: number) => readonly [program: string, ...args: string[]];
  readonly capabilities: (profile: string) => object;
}

const CHROMIUM_FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];
const WEBKIT = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

/** By name: the command that starts the driver, and the requested capabilities. */
export const BROWSERS: Record<string, Kind> = {
  Chromium: {
    driver: (port) => ["chromedriver", `--port=${port}`],
    capabilities: (profile) => ({
      "goog:chromeOptions": { args: [...CHROMIUM_FLAGS, `--user-data-dir=${profile}`], binary: "/usr/bin/chromium" },
    }),
  },
  Firefox: {
    driver: (port) => [
      process.env["GECKODRIVER"] ?? "geckodriver",
      "--port",
      `${port}`,
      "--binary",
      "/usr/bin/firefox-esr",
    ],
    capabilities: () => ({ "moz:firefoxOptions": { args: ["-headless"] } }),
  },
  WebKit: {
    // WebKit lacks a headless mode.
    driver: (port) => ["xvfb-run", "--auto-servernum", "WebKitWebDriver", `--port=${port}`],
    capabilities: () => ({ "webkitgtk:browserOptions": { binary: WEBKIT, args: ["--automation"] } }),
  },
};

/** The key of an element's id in answers (W3C WebDriver, "web element identifier"). */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** Starts a browser. */
export async function startBrowser(name: string): Promise<Browser> {
  const kind = BROWSERS[name]!;
  const port = await freePort();
  const profile = await mkdtemp(join(tmpdir(), "opik-edge-browser-"));
  const [program, ...args] = kind.driver(port);
  // In its own process group, so that the browser ends with its driver.
  const driver = spawn(program, args, { stdio: "ignore", detached: true });
  endWithUs(driver);
  const failed = once(driver, "error").then(([error]) => Promise.reject(error));
  const end = async (): Promise<void> => {
    await endGroup(driver);
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    const base = `http://127.0.0.1:${port}`;
    await Promise.race([untilReady(base, () => driver.exitCode ?? driver.signalCode), failed]);
    const capabilities = { alwaysMatch: kind.capabilities(profile) };
    const { sessionId, capabilities: found } = (await command(base, "POST", "/session", { capabilities })) as {
      sessionId: string;
      capabilities: { browserVersion: string };
    };
    const session = `/session/${sessionId}`;
    await command(base, "POST", `${session}/timeouts`, { script: 300_000, pageLoad: 60_000 });
    const conditions = { latency: 0, download_throughput: -1, upload_throughput: -1 };
    const setOffline = async (offline: boolean): Promise<void> => {
      const body = { network_conditions: { ...conditions, offline } };
      await command(base, "POST", `${session}/chromium/network_conditions`, body);
    };
    const find = async (selector: string): Promise<string[]> => {
      const body = { using: "css selector", value: selector };
      const found = (await command(base, "POST", `${session}/elements`, body)) as Record<string, string>[];
      return found.map((element) => `${session}/element/${element[ELEMENT]}`);
    };
    return {
      version: found.browserVersion,
      ...(name === "Chromium" && { setOffline }),
      type: async (selector, text) => {
        const [element] = await find(selector);
        await command(base, "POST", `${element}/value`, { text });
      },
      click: async (selector) => void (await command(base, "POST", `${(await find(selector)).at(-1)}/click`, {})),
      texts: async (selector) => {
        const texts: string[] = [];
        for (const element of await find(selector)) texts.push(String(await command(base, "GET", `${element}/text`)));
        return texts;
      },
      goTo: async (url) => void (await command(base, "POST", `${session}/url`, { url })),
      call: async (called, ...given) => {
        const script = `const [name, args, done] = arguments;
          Promise.resolve().then(() => globalThis[name](...args)).then((value) => done({ value }), (error) => done({ error: error + "\\n" + (error && error.stack) }));`;
        const body = { script, args: [called, given] };
        const result = (await command(base, "POST", `${session}/execute/async`, body)) as {
          value: unknown;
          error?: string;
        };
        if (result.error) throw new Error(`in the page: ${result.error}`);
        return result.value;
      },
      openTab: async () => {
        const before = await command(base, "GET", `${session}/window`);
        const { handle } = (await command(base, "POST", `${session}/window/new`, { type: "tab" })) as {
          handle: string;
        };
        await command(base, "POST", `${session}/window`, { handle });
        return async () => {
          await command(base, "DELETE", `${session}/window`);
          await command(base, "POST", `${session}/window`, { handle: before });
        };
      },
      hide: async () => {
        await command(base, "POST", `${session}/window/minimize`, {});
        return async () => void (await command(base, "POST", `${session}/window/rect`, { width: 1000, height: 800 }));
      },
      screenshot: async () => (await command(base, "GET", `${session}/screenshot`)) as string,
      close: async () => {
        await command(base, "DELETE", session).catch(() => {});
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function command(base: string, method: string, path: string, body?: object): Promise<unknown> {
  const json = { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(base + path, { method, ...(body && json) });
  const { value } = (await response.json()) as { value: { message?: string } };
  if (!response.ok) throw new Error(`${method} ${path}: ${value?.message}`);
  return value;
}

async function untilReady(base: string, exitCode: () => number | string | null): Promise<void> {
  while (exitCode() === null) {
    try {
      if (((await command(base, "GET", "/status")) as { ready?: boolean }).ready !== false) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the driver at ${base} has ended with ${exitCode()}`);
}

async function endGroup(driver: ChildProcess): Promise<void> {
  if (driver.exitCode !== null || driver.pid === undefined) return;
  const ended = once(driver, "exit");
  process.kill(-driver.pid, "SIGTERM");
  await ended;
}

/** Time limit of `until`, whose error names the condition. */
const IN_VAIN_MS = 120_000;

/** Waits until `condition` holds. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!(await condition())) {
    if (performance.now() - began > IN_VAIN_MS) throw new Error(`waited in vain: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
