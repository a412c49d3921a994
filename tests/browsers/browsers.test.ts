// A page begins the trace: Chromium, Firefox and WebKit against a Worker in workerd that is site, relay and API.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { example } from "../support/readme.js";
import { startTestUpstream, type TestUpstream } from "../support/upstream.js";
import { recordSuite } from "../support/versions.js";
import { ROOT, type RunningWorker, startWorker } from "../support/worker.js";
import { BROWSERS, type Browser, startBrowser, until } from "./webdriver.js";

let collector: Collector;
let upstream: TestUpstream;
let site: RunningWorker;
/** The same site at another origin. */
let stranger: RunningWorker;
before(async () => {
  collector = await startCollector();
  upstream = await startTestUpstream();
  const bindings = {
    OPIK_URL_OVERRIDE: collector.url,
    OPIK_API_KEY: "stays-on-the-server",
    UPSTREAM: upstream.url,
    PAGE_JS: await bundle("tests/browsers/page.ts"),
    README_JS: await bundle(await example("page", "ts")),
    STANDALONE_HTML: await standalonePage(),
    STANDALONE_JS: await readFile(join(ROOT, "pkg/standalone.js"), "utf8"),
  };
  site = await startWorker("tests/browsers/worker.ts", { bindings });
  stranger = await startWorker("tests/browsers/worker.ts", { bindings });
});
after(() => closeAll(site, stranger, upstream, collector));

/** The guide's page without a bundler. It loads the built file, and a module sets the same global. */
async function standalonePage(): Promise<string> {
  const html = await readFile(join(ROOT, await example("standalone", "html")), "utf8");
  const local = html.replace(/src="[^"]+"/, 'src="/standalone.js"');
  assert.notEqual(local, html);
  return `<!doctype html>${local}<script type="module">
    globalThis.imported = async () => {
      const before = OpikEdge;
      await import("/standalone.js");
      return [Object.keys(OpikEdge).includes("track"), OpikEdge !== before];
    };
  </script>`;
}

/** A page's script. */
async function bundle(entry: string): Promise<string> {
  const result = await build({
    entryPoints: [join(ROOT, entry)],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
  });
  return result.outputFiles[0]!.text;
}

const spansOf = (trace: string) => collector.spans().filter(({ trace_id }) => trace_id === trace);
const named = (trace: string, name: string) => spansOf(trace).find((span) => span["name"] === name);

/** The number of times that rows of a trace were written. */
function writes(trace: string): number {
  const accepted = collector.requests.filter(({ status, method }) => method === "POST" && status === 204);
  const rows = accepted.flatMap(({ body }) =>
    Object.values(JSON.parse(body) as Record<string, { id: string; trace_id?: string }[]>).flat(),
  );
  return rows.filter(({ id, trace_id }) => id === trace || trace_id === trace).length;
}

/** The ids of the rows that the browser keeps. */
const keptIn = async (browser: Browser): Promise<string[]> => (await browser.call("kept")) as string[];

/** Waits until the browser keeps no row: it forgets rows a moment after they have arrived. */
const untilEmpty = (browser: Browser): Promise<void> => until(async () => (await keptIn(browser)).length === 0);

/** The rows that are neither in the browser nor at the collector. */
async function missing(browser: Browser, ids: readonly string[]): Promise<string[]> {
  // In this order, because a row leaves the browser when it has arrived.
  const kept = await keptIn(browser);
  return ids.filter((id) => !kept.includes(id) && !hasArrived(id));
}

/** Waits until every row is safe: kept by the browser, or delivered. */
const untilSafe = (browser: Browser, ids: readonly string[]): Promise<void> =>
  until(async () => (await missing(browser, ids)).length === 0);

const hasArrived = (id: string): boolean => [...collector.spans(), ...collector.traces()].some((row) => row.id === id);
const untilArrived = (ids: readonly string[]): Promise<void> => collector.until(() => ids.every(hasArrived));

for (const name of Object.keys(BROWSERS)) {
  describe(`in ${name}`, () => {
    let browser: Browser;
    before(async () => {
      browser = await startBrowser(name);
    });
    after(() => browser?.close());
    recordSuite("browsers", name, () => browser?.version ?? "unknown");

    test("a click is one tree that spans page and Worker", async () => {
      await browser.goTo(site.url);
      const { trace, span, text } = (await browser.call("click")) as Record<string, string>;
      assert.equal(text, "one two three");
      // Nobody has flushed: the trace is sent in the background, through the relay.
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

    test("the page's own fetch is traced until it is restored", async () => {
      const result = (await browser.call("instrumented")) as Record<string, string | boolean>;
      const { trace, span, isReplaced, isStillReplaced, isRestored } = result;
      assert.deepEqual([isReplaced, isStillReplaced, isRestored], [true, true, true]);
      await collector.until(() => spansOf(trace as string).length === 4);
      assert.equal(named(trace as string, "own name")!.parent_span_id, span);
    });

    test("a call to a model records itself", async () => {
      await browser.goTo(site.url);
      const { trace, texts } = (await browser.call("askModel")) as { trace: string; texts: string[] };
      assert.ok(texts.every((text) => text.endsWith("data: [DONE]\n\n")));
      const calls = () => spansOf(trace).filter((span) => span["type"] === "llm");
      await collector.until(() => calls().length === 2);
      for (const { name, model, provider, input, output, usage, ttft } of calls()) {
        const message = { role: "assistant", content: "Hello" };
        assert.deepEqual(
          { name, model, provider, input, output },
          {
            name: "chat m",
            model: "m-1",
            provider: "127.0.0.1",
            input: { messages: [{ role: "user", content: "Hi" }] },
            output: { choices: [{ index: 0, message, finish_reason: "stop" }] },
          },
        );
        assert.deepEqual([(usage as { total_tokens: number }).total_tokens, typeof ttft], [3, "number"]);
      }
      assert.deepEqual(await browser.call("errors"), []);
    });

    test("rows that are recorded when a page is left still arrive", async () => {
      await browser.goTo(site.url);
      const ids = (await browser.call("leave", 50)) as string[];
      await untilSafe(browser, ids);
      await browser.goTo("about:blank");
      // Firefox does not always finish the requests of a page that goes; then the next visit sends the rows.
      if (name === "Firefox") await browser.goTo(site.url);
      await untilArrived(ids);
    });

    test("while the relay is down rows stay in the browser, and the next visit sends them, each once", async () => {
      await browser.goTo(site.url);
      await fetch(`${site.url}/down`);
      const ids = (await browser.call("leave", 20)) as string[];
      await untilSafe(browser, ids);
      await browser.goTo("about:blank");
      assert.ok(!ids.some(hasArrived));
      // Up for this visit only, because Firefox may send the earlier page's requests at any time.
      await browser.goTo(`${site.url}/?back`);
      await untilArrived(ids);
      assert.equal(writes(ids[0]!), 21);
      await untilEmpty(browser);
      await fetch(`${site.url}/up`);
    });

    test("200 KB that wait when a page goes: each row has arrived, or is kept and sent by the next visit", async () => {
      await browser.goTo(site.url);
      const ids = (await browser.call("leave", 100, 2000)) as string[];
      await untilSafe(browser, ids);
      assert.deepEqual(await browser.call("drops"), {});
      await browser.goTo(`${site.url}/?looking`);
      assert.deepEqual(await missing(browser, ids), []);
      await browser.goTo(site.url);
      await untilArrived(ids);
      await untilEmpty(browser);
    });

    test("a page that is hidden sends its ended spans, and the rest when they end", async () => {
      await browser.goTo(site.url);
      const [trace, span, child] = (await browser.call("begin")) as [string, string, string];
      const show = await browser.hide();
      await untilArrived([child]);
      assert.ok(!hasArrived(trace) && !hasArrived(span));
      await show();
      assert.deepEqual(await browser.call("uploads"), ["hidden"]);
      await browser.call("end");
      await untilArrived([trace, span]);
      assert.equal(named(trace, "has ended")!.parent_span_id, span);
    });

    test("a tab that is closed in the middle of a stream: its ended spans have arrived, or are kept", async () => {
      const close = await browser.openTab();
      await browser.goTo(site.url);
      const ids = (await browser.call("reading")) as string[];
      await untilSafe(browser, ids);
      await close();
      await browser.goTo(`${site.url}/?looking`);
      assert.deepEqual(await missing(browser, ids), []);
      await browser.goTo(site.url);
      await untilArrived(ids);
    });

    test("offline, then online: everything arrives without a further visit", async () => {
      await browser.goTo(site.url);
      // Rows that an earlier visit has not forgotten in time are sent again.
      await untilEmpty(browser);
      await browser.call("flush");
      // Where the driver cannot cut the network, the relay is taken down.
      const setOffline = browser.setOffline ?? ((isOffline) => fetch(`${site.url}/${isOffline ? "down" : "up"}`));
      await setOffline(true);
      const ids: string[] = [];
      try {
        ids.push(...((await browser.call("leave", 10)) as string[]));
        assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
        assert.ok(!ids.some(hasArrived));
        await untilSafe(browser, ids);
      } finally {
        await setOffline(false);
      }
      await untilArrived(ids);
      await untilEmpty(browser);
    });

    test("a database that fails once keeps its rows, and forgets them later", async () => {
      for (const what of ["transaction", "delete"]) {
        await browser.goTo(site.url);
        await untilEmpty(browser);
        await fetch(`${site.url}/down`);
        if (what === "transaction") await browser.call("breakOnce", what);
        const ids = (await browser.call("leave", 2)) as string[];
        await until(async () => (await keptIn(browser)).length === ids.length);
        if (what === "delete") await browser.call("breakOnce", what);
        await fetch(`${site.url}/up`);
        await browser.call("flush");
        await untilArrived(ids);
        await untilEmpty(browser);
      }
    });

    test("a second tab leaves the first tab's rows alone", async () => {
      await browser.goTo(site.url);
      await fetch(`${site.url}/down`);
      const ids = (await browser.call("leave", 10)) as string[];
      const close = await browser.openTab();
      await browser.goTo(site.url);
      assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
      await close();
      await fetch(`${site.url}/up`);
      await untilArrived(ids);
      assert.equal(writes(ids[0]!), 11);
      await untilEmpty(browser);
    });

    test("a stream ends its span when it has been read, when it fails, and when it is given up", async () => {
      await browser.goTo(site.url);
      const read = async (url: string, chunks?: number) => {
        const { trace, bytes } = (await browser.call("stream", url, chunks)) as { trace: string; bytes: number };
        await collector.until(() => spansOf(trace).length === 2);
        return { bytes, call: named(trace, "call")! as Record<string, unknown> };
      };
      const ended = (await read("/stream?how=ends")).call;
      assert.deepEqual([ended["metadata"], ended["error_info"]], [undefined, undefined]);
      const broken = (await read(`${upstream.url}/broken`)).call;
      assert.ok((broken["error_info"] as Record<string, string>)["exception_type"]);
      // The browser decides how many of the server's writes a chunk holds.
      const stopped = await read("/stream?how=goes-on", 2);
      assert.ok(stopped.bytes >= 18, `${stopped.bytes}`);
      assert.deepEqual(stopped.call["metadata"], { opik_edge_stopped_reading: stopped.bytes });
    });

    test("a page continues the trace in which it was rendered", async () => {
      for (const way of ["meta", "timing"]) {
        await browser.goTo(`${site.url}/?rendered=${way}`);
        const { trace, joined } = (await browser.call("hydrate")) as { trace: string; joined: boolean };
        assert.equal(joined, true, way);
        await collector.until(() => spansOf(trace).length === 2);
        assert.equal(named(trace, "hydrate")!.parent_span_id, named(trace, "GET /")!.id);
        assert.equal(collector.traces().filter(({ id }) => id === trace).length, 1);
      }
    });

    test("elements with the names of functions do no harm, and tracing goes on", async () => {
      await browser.goTo(`${site.url}/?clobbered`);
      assert.equal(await browser.call("isClobbered"), true);
      const { joined, trace: own } = (await browser.call("hydrate")) as { trace: string; joined: boolean };
      assert.equal(joined, false);
      const { trace, text } = (await browser.call("click")) as Record<string, string>;
      assert.equal(text, "one two three");
      await untilArrived([own]);
      await collector.until(() => spansOf(trace!).length === 4);
      assert.deepEqual(await browser.call("errors"), []);
    });

    describe("users of one device", () => {
      const threadOf = (id: string) => collector.traces().find((row) => row.id === id)?.["thread_id"];
      const visit = (user: string) => browser.goTo(`${site.url}/?user=${user}`);
      const look = async () => {
        await browser.goTo(`${site.url}/?looking`);
        return keptIn(browser);
      };

      test("rows recorded without a token are not left for the next visit, whoever the user is", async () => {
        await visit("");
        const ids = (await browser.call("leave", 5)) as string[];
        assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
        assert.deepEqual(await look(), []);
        await visit("b");
        const own = (await browser.call("leave", 1)) as string[];
        await untilArrived(own);
        assert.equal(threadOf(own[0]!), "b");
        assert.ok(!ids.some(hasArrived));
      });

      test("without a token, rows wait for the first token of their visit", async () => {
        await visit("");
        const ids = (await browser.call("leave", 5)) as string[];
        await browser.call("logIn", "a");
        const more = (await browser.call("leave", 1)) as string[];
        await untilArrived([...ids, ...more]);
        assert.deepEqual([threadOf(ids[0]!), threadOf(more[0]!)], ["a", "a"]);
      });

      test("rows that the next user's visit finds go with their own token", async () => {
        await visit("a");
        await fetch(`${site.url}/down`);
        const ids = (await browser.call("leave", 5)) as string[];
        await untilSafe(browser, ids);
        const kept = await look();
        assert.ok(ids.every((id) => kept.includes(id)));
        await fetch(`${site.url}/up`);
        await visit("b");
        const own = (await browser.call("leave", 1)) as string[];
        await untilArrived([...ids, ...own]);
        assert.deepEqual([threadOf(ids[0]!), threadOf(own[0]!)], ["a", "b"]);
        await untilEmpty(browser);
      });

      test("a logout leaves no row: not at rest, not in memory, not in another tab", async () => {
        await visit("a");
        await fetch(`${site.url}/down`);
        const ids = (await browser.call("leave", 5)) as string[];
        await untilSafe(browser, ids);
        const close = await browser.openTab();
        await visit("a");
        const others = (await browser.call("leave", 5)) as string[];
        await untilSafe(browser, others);
        assert.deepEqual(await browser.call("logOut"), { sent: 0, dropped: { discarded: 6 } });
        // The other tab forgets its own rows, and its client reports the loss.
        await close();
        await until(async () => ((await browser.call("drops")) as Record<string, number>)["discarded"] === 6);
        assert.deepEqual(await keptIn(browser), []);
        await fetch(`${site.url}/up`);
        await browser.call("logIn", "b");
        const own = (await browser.call("leave", 1)) as string[];
        await untilArrived(own);
        assert.equal(threadOf(own[0]!), "b");
        assert.ok(![...ids, ...others].some(hasArrived));
      });

      test("rows whose token is refused are set aside, and delay no others", async () => {
        await visit("stale");
        const ids = (await browser.call("leave", 5)) as string[];
        await untilSafe(browser, ids);
        await visit("b");
        const own = (await browser.call("leave", 1)) as string[];
        await untilArrived(own);
        assert.equal(threadOf(own[0]!), "b");
        await until(async () => !(await keptIn(browser)).some((id) => own.includes(id)));
        assert.deepEqual((await look()).filter((id) => ids.includes(id)).length, 6, "for a later visit");
        await visit("b");
        assert.equal(((await browser.call("logOut")) as { sent: number }).sent, 0);
        assert.deepEqual(await look(), []);
      });

      test("rows of an older version are sent to a relay without tokens, and otherwise go only with their own token", async () => {
        const plant = async (token: string | null, path: string) => {
          await browser.goTo(`${site.url}/?looking`);
          return (await browser.call("plant", token, site.url + path)) as string;
        };
        const open = await plant(null, "/opik");
        await browser.goTo(site.url);
        await untilArrived([open]);
        await untilEmpty(browser);
        const nobodys = await plant(null, "/guarded");
        await visit("b");
        await untilEmpty(browser);
        const token = await (await fetch(`${site.url}/token?user=a`)).text();
        const unproven = await plant(token, "/guarded");
        await visit("b");
        await until(async () => ((await browser.call("drops")) as Record<string, number>)["rejected"] === 1);
        const own = (await browser.call("leave", 1)) as string[];
        await untilArrived(own);
        assert.ok(!hasArrived(nobodys) && !hasArrived(unproven));
        await untilEmpty(browser);
      });

      test("after a reload, a trace is scored with a token that names it, and another's is not", async () => {
        await visit("a");
        const ids = (await browser.call("leave", 1)) as string[];
        await untilArrived(ids);
        const [trace] = ids as [string];
        const scored = () => collector.scores().some(({ id }) => id === trace);
        await visit("b");
        await browser.call("score", trace);
        await until(async () => ((await browser.call("drops")) as Record<string, number>)["rejected"] === 1);
        assert.ok(!scored());
        await visit(`a&trace=${trace}`);
        await browser.call("score", trace);
        await collector.until(scored);
      });
    });

    test("the doctor knows a page's limits, its relay, and whether trace headers get to a URL", async () => {
      const ask = async (relayUrl: string, url: string) => {
        const findings = (await browser.call("doctor", relayUrl, url)) as [string, string, string][];
        return Object.fromEntries(findings.map(([check, ...rest]) => [check, rest]));
      };
      const good = await ask("/opik", "/echo");
      assert.deepEqual(good["core"]![0], "ok");
      assert.deepEqual(good["nesting"], ["note", "pass spans explicitly: browsers have no AsyncLocalStorage"]);
      assert.deepEqual(good["Opik"], ["ok", `the relay ${site.url}/opik answers this page`]);
      assert.deepEqual(good["headers"], ["ok", "both spellings arrive"]);
      const bad = await ask("/stream", `${stranger.url}/partial`);
      assert.deepEqual(bad["Opik"], ["problem", "check relayUrl, and that POST gets there"]);
      assert.equal(bad["headers"]![0], "problem");
    });

    test("a call to another origin that does not allow its headers names the origin and the headers", async () => {
      await browser.goTo(`${site.url}/?friend=${stranger.url}`);
      const errors = (await browser.call("stranger", `${stranger.url}/partial`)) as string[];
      const missing = "opik-trace-id, opik-parent-span-id";
      assert.ok(
        errors[0]!.startsWith(`cors_header: ${stranger.url} does not allow the request headers ${missing}`),
        errors[0],
      );
      assert.equal(errors.length, 1);
    });

    test("the guide's example", async () => {
      await browser.goTo(`${site.url}/?readme`);
      await browser.type("#input", "hello");
      await browser.click("#button");
      await until(async () => (await browser.texts("#answer")).join() === "one two three");
      const before = collector.scores().length;
      await browser.click("#thumbsUp");
      await collector.until(() => collector.scores().length > before);
      const { id, name, value } = collector.scores().at(-1)!;
      assert.deepEqual([name, value], ["helpful", 1]);
      await collector.until(() => spansOf(id).length === 4 && hasArrived(id));
      assert.match(String(collector.traces().find((trace) => trace.id === id)!["thread_id"]), /^[0-9a-f]{32}$/);
    });

    test("the guide's example without a bundler", async () => {
      const loads = () => collector.spans().filter((row) => row["name"] === "load");
      const before = loads().length;
      await browser.goTo(`${site.url}/?standalone`);
      await collector.until(() => loads().length > before && spansOf(loads().at(-1)!.trace_id!).length === 4);
      assert.deepEqual(await browser.call("imported"), [true, true]);
    });

    test("a private window has no database, and sends its rows", async () => {
      await browser.goTo(`${site.url}/?private`);
      const ids = (await browser.call("leave", 5)) as string[];
      assert.deepEqual(await browser.call("flush"), { sent: 6, dropped: {} });
      assert.ok(ids.every(hasArrived));
    });

    test("a page whose policy forbids WebAssembly works untraced, and one message names the remedy", async () => {
      await browser.goTo(site.url);
      await fetch(`${site.url}/down`);
      const ids = (await browser.call("leave", 3)) as string[];
      await untilSafe(browser, ids);
      // Up for this visit only, because the earlier page's requests may arrive at any time.
      await browser.goTo(`${site.url}/?csp&back`);
      const { text } = (await browser.call("click")) as Record<string, string>;
      assert.equal(text, "one two three");
      const errors = (await browser.call("errors")) as string[];
      assert.equal(errors.length, 1, `${errors}`);
      assert.match(errors[0]!, /^wasm_blocked: .*'wasm-unsafe-eval'/);
      assert.deepEqual(await browser.call("flush"), { sent: 0, dropped: {} });
      // Rows of another page are left to a page that can send them.
      const kept = await keptIn(browser);
      assert.ok(ids.every((id) => kept.includes(id) && !hasArrived(id)));
      await fetch(`${site.url}/up`);
      await browser.goTo(site.url);
      await untilArrived(ids);
    });
  });
}

test("no page had the key", () => {
  const uploads = collector.requests.filter(({ method }) => method === "POST");
  assert.ok(uploads.length > 0 && uploads.every(({ headers }) => headers.authorization === "stays-on-the-server"));
});
