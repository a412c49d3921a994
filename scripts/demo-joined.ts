// The demo behind `scripts/demo joined`: one question through a page, Workers, OpenTelemetry, Python and the AI SDK; stays up.

import { startCollector } from "../tests/support/collector.js";
import { askInPage, startJoined } from "../tests/support/joined.js";
import { startChromium } from "../tests/viewer/browser.js";
import { pageOf, stayUp } from "./demo-process.js";

const collector = await startCollector({ port: 5173 }).catch(() => startCollector());
const joined = await startJoined(collector.url);
const browser = await startChromium();
const { trace } = await askInPage(browser, joined, collector);
await browser.close();
console.log(collector.tree(trace));
console.log(`\nSee it:\n  ${pageOf(collector)}#/trace/${trace}\nCtrl-C ends it.`);

stayUp(async () => {
  await joined.close();
  await collector.close();
});
