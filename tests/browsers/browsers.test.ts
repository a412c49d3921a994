// A page begins the trace: Chromium, Firefox and WebKit against a Worker in workerd that is site, relay and API.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import { type Collector, startCollector } from "../../collector/server.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { ROOT, type RunningWorker, startWorker } from "../support/worker.js";
import { BROWSERS, type Browser, startBrowser, until } from "./webdriver.js";

let collector: Collector;
let upstream: TestUpstream;
let site: RunningWorker;
before(async () => {
  collector = await startCollector();
  upstream = await startTestUpstream();
  const bundle = await build({
    entryPoints: [join(ROOT, "tests/browsers/page.ts")],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
  });
  const bindings = {
    OPIK_URL_OVERRIDE: collector.url,
    OPIK_API_KEY: "stays-on-the-server",
    UPSTREAM: upstream.url,
    PAGE_JS: bundle.outputFiles[0]!.text,
  };
  site = await startWorker("tests/browsers/worker.ts", { bindings });
});
after(async () => {
  await site.close();
  await upstream.close();
  await collector.close();
});

const spansOf = (trace: string) => collector.spans().filter(({ trace_id }) => trace_id === trace);
const named = (trace: string, name: string) => spansOf(trace).find((span) => span["name"] === name);

/** How often rows of a trace were written. */
function writes(trace: string): number {
  const accepted = collector.requests.filter(({ status, method }) => method === "POST" && status === 204);
  const rows = accepted.flatMap(({ body }) =>
    Object.values(JSON.parse(body) as Record<string, { id: string; trace_id?: string }[]>).flat(),
  );
  return rows.filter(({ id, trace_id }) => id === trace || trace_id === trace).length;
}

/** Waits until nothing is kept in the browser: rows are forgotten a moment after they have arrived. */
const untilEmpty = (browser: Browser): Promise<void> => until(async () => (await browser.call("kept")) === 0);

for (const name of Object.keys(BROWSERS)) {
  describe(`in ${name}`, () => {
    let browser: Browser;
    before(async () => {
      browser = await startBrowser(name);
    });
    after(() => browser?.close());

    test("a click is one tree that spans page and Worker", async () => {
      await browser.goTo(site.url);
      const { trace, span, text } = (await browser.call("click")) as Record<string, string>;
      assert.equal(text, "one two three");
      // Nobody has flushed: it is sent in the background, through the relay.
      await collector.until(() => spansOf(trace!).length === 4 && collector.traces().some(({ id }) => id === trace));
      const { host } = new URL(site.url);
      const call = named(trace!, `POST ${host}/chat`)!;
      const worker = named(trace!, "POST /chat")!;
      assert.deepEqual([call.parent_span_id, worker.parent_span_id], [span, call.id]);
      assert.equal(named(trace!, `GET ${new URL(upstream.url).host}/text`)!.parent_span_id, worker.id);
      const row = collector.traces().find(({ id }) => id === trace)!;
      assert.deepEqual([row["name"], row["thread_id"], row["project_name"]], ["click", "tab-1", "site"]);
      assert.deepEqual(await browser.call("errors"), []);
    });

    test("the page's own fetch is traced for as long as it is asked to be", async () => {
      const result = (await browser.call("instrumented")) as Record<string, string | boolean>;
      const { trace, span, isReplaced, isStillReplaced, isRestored } = result;
      assert.deepEqual([isReplaced, isStillReplaced, isRestored], [true, true, true]);
      await collector.until(() => spansOf(trace as string).length === 4);
      assert.equal(named(trace as string, "own name")!.parent_span_id, span);
    });

    test("what is recorded when a page is left still arrives", async () => {
      await browser.goTo(site.url);
      const trace = (await browser.call("leave", 50)) as string;
      await until(async () => (await browser.call("kept")) === 51);
      await browser.goTo("about:blank");
      // Firefox does not always finish what a page has asked for on its way out: then it is the next visit that sends it.
      if (name === "Firefox") await browser.goTo(site.url);
      await collector.until(() => spansOf(trace).length === 50 && collector.traces().some(({ id }) => id === trace));
    });

    test("while the relay is down rows stay in the browser, and the next visit sends them, each once", async () => {
      await browser.goTo(site.url);
      await fetch(`${site.url}/down`);
      const trace = (await browser.call("leave", 20)) as string;
      await browser.goTo("about:blank");
      await fetch(`${site.url}/up`);
      assert.equal(spansOf(trace).length, 0);
      await browser.goTo(site.url);
      await collector.until(() => spansOf(trace).length === 20 && collector.traces().some(({ id }) => id === trace));
      assert.equal(writes(trace), 21);
      await untilEmpty(browser);
    });

    test("what is too much for a page that goes is sent by the next visit", async () => {
      await browser.goTo(site.url);
      const trace = (await browser.call("leave", 100, 2000)) as string;
      // A row is safe as soon as the browser has written it.
      await until(async () => (await browser.call("kept")) === 101);
      await browser.goTo("about:blank");
      await browser.goTo(site.url);
      await collector.until(() => spansOf(trace).length === 100 && collector.traces().some(({ id }) => id === trace));
      await untilEmpty(browser);
    });

    test("a second tab leaves alone what the first one still has", async () => {
      await browser.goTo(site.url);
      await fetch(`${site.url}/down`);
      const trace = (await browser.call("leave", 10)) as string;
      const close = await browser.openTab();
      await browser.goTo(site.url);
      assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
      await close();
      await fetch(`${site.url}/up`);
      await collector.until(() => spansOf(trace).length === 10 && collector.traces().some(({ id }) => id === trace));
      assert.equal(writes(trace), 11);
      await untilEmpty(browser);
    });

    test("a private window has no database, and sends all the same", async () => {
      await browser.goTo(`${site.url}/?private`);
      const trace = (await browser.call("leave", 5)) as string;
      assert.deepEqual(await browser.call("flush"), { sent: 6, dropped: {} });
      assert.equal(spansOf(trace).length, 5);
    });

    test("a page whose policy forbids WebAssembly works, untraced, and is told what to do", async () => {
      await browser.goTo(`${site.url}/?csp`);
      const { text } = (await browser.call("click")) as Record<string, string>;
      assert.equal(text, "one two three");
      const errors = (await browser.call("errors")) as string[];
      assert.equal(errors.length, 1, `${errors}`);
      assert.match(errors[0]!, /^wasm_blocked: .*'wasm-unsafe-eval'/);
      assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
    });
  });
}

test("the key was in no page", () => {
  const uploads = collector.requests.filter(({ method }) => method === "POST");
  assert.ok(uploads.length > 0 && uploads.every(({ headers }) => headers.authorization === "stays-on-the-server"));
});
