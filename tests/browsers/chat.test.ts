// Uses the example as a user does: a question typed into examples/browser becomes one tree that spans page, Worker and
// Python.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startUpstream, type Upstream } from "../../examples/cloudflare-worker/upstream.js";
import { type Chat, startChat } from "../support/chat.js";
import { closeAll } from "../support/closing.js";
import type { StoredRow } from "../support/collector.js";
import { type Collector, startCollector } from "../support/collector.js";
import { BROWSERS, type Browser, startBrowser, until } from "./webdriver.js";

let collector: Collector;
let upstream: Upstream;
let chat: Chat;
before(async () => {
  collector = await startCollector();
  upstream = await startUpstream();
  chat = await startChat(collector.url, upstream, { bindings: { OPIK_API_KEY: "stays-on-the-server" } });
});
after(() => closeAll(chat, upstream, collector));

for (const name of Object.keys(BROWSERS)) {
  describe(`in ${name}`, () => {
    let browser: Browser;
    before(async () => {
      browser = await startBrowser(name);
    });
    after(() => browser?.close());

    /** Types a question, waits for its answer, and returns its trace, once everything has arrived. */
    async function ask(question: string): Promise<StoredRow> {
      const before = new Set(collector.traces().map(({ id }) => id));
      const answered = (await browser.texts(".feedback")).length;
      await browser.type("input", question);
      await browser.click("form button");
      await until(async () => (await browser.texts(".feedback")).length > answered);
      assert.equal((await browser.texts(".answer")).at(-1), "A trace is a tree of spans.");
      const found = () => collector.traces().find(({ id }) => !before.has(id));
      await collector.until(() => spansOf(found()?.id).length >= 9);
      return found()!;
    }

    test("a question is one tree that spans page, Worker, model and Python server", async () => {
      await browser.goTo(chat.url);
      const trace = await ask("What is a trace?");
      const [worker, python] = [chat.chatUrl, chat.pythonUrl].map((url) => new URL(url).host);
      assert.deepEqual(paths(trace.id), [
        "ask",
        `ask > POST ${worker}/chat`,
        `ask > POST ${worker}/chat > POST /chat`,
        `ask > POST ${worker}/chat > POST /chat > chat demo-model`,
        `ask > POST ${worker}/chat > POST /chat > chat demo-model`,
        `ask > POST ${worker}/chat > POST /chat > retrieve`,
        `ask > POST ${worker}/chat > POST /chat > retrieve > POST ${python}/retrieve`,
        `ask > POST ${worker}/chat > POST /chat > retrieve > POST ${python}/retrieve > search`,
        `ask > POST ${worker}/chat > POST /chat > retrieve > POST ${python}/retrieve > search > embed`,
        `ask > POST ${worker}/chat > POST /chat > retrieve > rank`,
      ]);
      assert.deepEqual(trace["output"], { answer: "A trace is a tree of spans." });
      assert.ok([trace, ...spansOf(trace.id)].every((row) => row["project_name"] === "chat"));
      assert.ok(
        !JSON.stringify(spansOf(trace.id)).includes("opik_edge_"),
        "nothing was left open, broken off or mistrusted",
      );
    });

    test("the last thumb that was pressed is the trace's score", async () => {
      const trace = await ask("Is it helpful?");
      await browser.click(".feedback button:first-of-type");
      const scores = () => collector.scores().filter(({ id }) => id === trace.id);
      await collector.until(() => scores().length === 1);
      await browser.click(".feedback button:last-of-type");
      await collector.until(() => scores()[0]?.value === 0);
      assert.deepEqual(
        scores().map(({ entity, name, value, project_name }) => [entity, name, value, project_name]),
        [["traces", "helpful", 0, "chat"]],
      );
    });

    test("after a reload the last answer can still be scored, by its own session only", async () => {
      await browser.goTo(chat.url);
      const trace = await ask("Is it still helpful?");
      await browser.goTo(chat.url);
      await until(async () => (await browser.texts(".earlier")).length === 1);
      await browser.click(".earlier button:first-of-type");
      await collector.until(() => collector.scores().some(({ id, value }) => id === trace.id && value === 1));
      assert.equal((await fetch(`${chat.url}/session?trace=${trace.id}`)).status, 403);
    });

    test("a tab is one conversation, including reloads, until it begins another", async () => {
      const threads: unknown[] = [];
      for (const begin of [() => browser.goTo(chat.url), () => browser.goTo(chat.url), () => browser.click("#renew")]) {
        await begin();
        threads.push((await ask("And now?"))["thread_id"]);
      }
      assert.match(String(threads[0]), /^[0-9a-f]{32}$/);
      assert.equal(threads[1], threads[0]);
      assert.notEqual(threads[2], threads[0]);
    });
  });
}

test("the page received no key, and its preflights are not traces", () => {
  const uploads = collector.requests.filter(
    ({ method, headers }) => method !== "GET" && !("x-fern-language" in headers),
  );
  assert.deepEqual([...new Set(uploads.map(({ headers }) => headers.authorization))], ["stays-on-the-server"]);
  assert.deepEqual([...new Set(collector.traces().map(({ name }) => name))], ["ask"]);
});

const spansOf = (trace: string | undefined): StoredRow[] =>
  collector.spans().filter(({ trace_id }) => trace !== undefined && trace_id === trace);

/** Every span of a trace as the names from its root down to it, sorted. */
function paths(trace: string): string[] {
  const spans = spansOf(trace);
  const path = ({ name, parent_span_id }: StoredRow): string => {
    const parent = spans.find(({ id }) => id === parent_span_id);
    return parent ? `${path(parent)} > ${name}` : parent_span_id ? `(lost) > ${name}` : String(name);
  };
  return spans.map(path).sort();
}
