// Debian's Chromium, by Playwright.

import { type Browser, chromium } from "playwright-core";

/** Starts it. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
}
