// The page in Chromium: what it shows, by mouse, by keys and by link; and that nothing in a row is more than text.
// Its pictures are left in target/viewer/, for people: they are not compared.

import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { ROOT } from "../support/worker.js";
import { startChromium } from "./browser.js";
import { idAt, type Sample, send, sendOtlp, sendRefused, sendSample } from "./sample.js";

const WIDE = { width: 1360, height: 800 };
const NARROW = { width: 390, height: 800 };
const PICTURES = join(ROOT, "target/viewer");
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let collector: Collector;
let browser: Browser;
let sample: Sample;
let base: string;
const start = Date.now() - 120_000;
before(async () => {
  collector = await startCollector();
  base = collector.url.replace(/api$/, "");
  sample = await sendSample(collector, start);
  await sendRefused(collector, start);
  browser = await startChromium();
  await mkdir(PICTURES, { recursive: true });
});
after(() => closeAll(browser, collector));

/** Opens it, runs `use`, and fails where the page has complained, asked anybody else, or opened a dialog. */
async function withPage(
  place: string,
  use: (page: Page) => Promise<void>,
  { viewport = WIDE, colorScheme = "light" as "light" | "dark", at = base } = {},
): Promise<void> {
  const context = await browser.newContext({
    viewport,
    colorScheme,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(at) && !/^(?:data|blob):/.test(request.url()))
      complaints.push(`request: ${request.url()}`);
  });
  try {
    await page.goto(`${at}${place}`);
    await use(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

const keyOf = (name: string, n = 0) =>
  encodeURIComponent(
    collector.store.ofTrace(sample.trace).filter(({ entity, row }) => entity === "spans" && row["name"] === name)[n]!
      .key,
  );
const line = (page: Page, name: string) => page.locator(".waterfall [role=treeitem]", { hasText: name }).first();

test("from the list to a trace, a span with an error, and its conversation", () =>
  withPage("", async (page) => {
    await page.locator("a.row").last().click();
    await page.locator(".summary h1", { hasText: "ask" }).waitFor();
    assert.match(await page.locator(".summary").innerText(), /2\.84 s[\s\S]*21[\s\S]*1,021[\s\S]*cart-81/);
    await line(page, "sum_invoices").click();
    await page.locator(".error-box", { hasText: "ledger did not answer" }).waitFor();
    await line(page, "llm").click();
    await page.locator(".bubble.role-user", { hasText: "overdue" }).waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".detail").waitFor({ state: "detached" });
    await page.locator(".summary a", { hasText: "cart-81" }).click();
    await page.locator(".turn").nth(2).waitFor();
    await page.goBack();
    await page.locator(".waterfall").waitFor();
  }));

test("a link leads to a span, also after the page is loaded again", () =>
  withPage(`#/trace/${sample.trace}/${keyOf("llm", 1)}`, async (page) => {
    for (let n = 0; n < 2; n += 1) {
      await page.locator(".detail h2", { hasText: "llm" }).waitFor();
      await page.locator(".detail strong", { hasText: "501.90 EUR" }).waitFor();
      await page.reload();
    }
  }));

test("by keys alone", () =>
  withPage("", async (page) => {
    await page.locator("a.row").first().waitFor();
    await page.keyboard.press("End");
    await page.keyboard.press("Enter");
    await page.locator("[role=tree]").waitFor();
    const current = () => page.locator("[role=treeitem][aria-selected=true] .text").innerText();
    await page.keyboard.press("Home");
    assert.equal(await current(), "ask");
    await page.keyboard.press("j");
    await page.keyboard.press("ArrowDown");
    assert.equal(await current(), "parse cookies");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await current(), "POST /chat");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await page.locator("[role=treeitem]").count(), 3, "folded");
    await page.keyboard.press("e");
    assert.equal(await current(), "sum_invoices");
    await page.keyboard.press("Enter");
    await page.locator(".error-box").waitFor();
    await page.keyboard.press("e");
    await page.locator(".detail h2", { hasText: "GET ledger/sum" }).waitFor();
    await page.keyboard.press("c");
    const { row } = collector.store.ofTrace(sample.trace).find(({ row: one }) => one["name"] === "GET ledger/sum")!;
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, `opik_trace_id: ${sample.trace}\nopik_parent_span_id: ${row.id}`);
    await page.keyboard.press("Escape");
    await page.keyboard.press("/");
    await page.keyboard.type("audit");
    await page.keyboard.press("Enter");
    assert.equal(await current(), "write audit log");
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.locator(".help").waitFor();
  }));

test("the detail explains oddities of a span", () =>
  withPage(`#/trace/${sample.trace}`, async (page) => {
    const said: [string, RegExp][] = [
      ["search", /clocks differ/],
      ["POST /chat", /No child span ran for 203 ms at 1\.53 s/],
      ["write audit log", /has not ended yet/],
      ["GET ledger/sum", /went away/],
      ["score answer", /is missing\. The service that called this one is not traced/],
    ];
    for (const [name, expected] of said) {
      await page.locator(".waterfall .text").getByText(name, { exact: true }).first().click();
      await page.locator(".detail h2", { hasText: name }).waitFor();
      assert.match(await page.locator(".oddities").innerText(), expected);
    }
    await page.locator(".hint", { hasText: "4 spans read 0 ms" }).waitFor();
  }));

test("a trace of OpenTelemetry reads like one of ours", async (t) => {
  const other = await startCollector();
  t.after(() => other.close());
  await sendOtlp(other, start);
  await withPage(
    "",
    async (page) => {
      await page.locator("a.row", { hasText: "invoke_agent billing" }).click();
      assert.match(await page.locator(".summary").innerText(), /2\.40 s[\s\S]*7[\s\S]*542[\s\S]*cart-81/);
      await line(page, "SELECT invoices").click();
      await page.locator(".error-box", { hasText: "ledger did not answer" }).waitFor();
      await page.screenshot({ path: join(PICTURES, "otlp-error.png") });
      await line(page, "execute_tool").click();
      await page.locator(".detail", { hasText: "INV-2041" }).waitFor();
      await page.screenshot({ path: join(PICTURES, "otlp-tool.png") });
      await line(page, "chat gpt-5-mini").click();
      await page.locator(".bubble.role-user", { hasText: "overdue" }).waitFor();
      await page.locator(".bubble.role-assistant", { hasText: "sum_invoices" }).waitFor();
      await page.screenshot({ path: join(PICTURES, "otlp-conversation.png") });
      await page.keyboard.press("End");
      await page.locator(".bubble", { hasText: "501.9" }).first().waitFor();
      await page.locator(".detail strong", { hasText: "overdue" }).waitFor();
      await page.screenshot({ path: join(PICTURES, "otlp-answer.png") });
    },
    { at: other.url.replace(/api$/, "") },
  );
});

test("a sender keeps its colour in another view, and when the page is loaded again", () =>
  withPage("", async (page) => {
    const colours = () =>
      page.evaluate(() =>
        Object.fromEntries(
          Array.from(document.querySelectorAll(".sender"), (one) => [one.getAttribute("aria-label"), one.className]),
        ),
      );
    await page.locator("a.row").last().waitFor();
    const listed = await colours();
    await page.goto(`${base}#/trace/${sample.trace}`);
    await page.reload();
    await page.locator(".bar").first().waitFor();
    const shown = await colours();
    assert.equal(Object.keys(shown).length, 4);
    assert.equal(new Set(Object.values(shown)).size, 4, "no two have the same");
    for (const [name, colour] of Object.entries(shown)) assert.equal(colour, listed[name], name);
  }));

test("a trace is compared with the last earlier one of its name", () =>
  withPage(`#/trace/${idAt(start + 40_000, 1)}`, async (page) => {
    await page.locator("a", { hasText: "compare with the one before" }).click();
    const pair = page.locator(".pair", { hasText: "ask" });
    await pair.waitFor();
    assert.match(await pair.innerText(), /900 ms\s+1\.31 s\s+\+412 ms\s+\+1/);
  }));

for (const width of [1360, 900, 390]) {
  test(`at ${width} px, bars stand where the ruler says`, () =>
    withPage(
      `#/trace/${sample.trace}`,
      async (page) => {
        await page.locator(".waterfall .bar").first().waitFor();
        const left = async (selector: string, n = 0) => (await page.locator(selector).nth(n).boundingBox())!.x;
        const [bar, tick, grid] = [await left(".waterfall .bar"), await left(".tick"), await left(".grid-line")];
        const [second, gridSecond] = [await left(".tick", 1), await left(".grid-line", 1)];
        for (const off of [bar - tick, bar - grid, second - gridSecond]) assert.ok(Math.abs(off) <= 0.5, `${off} px`);
        const ask = (await page.locator(".waterfall .bar").first().boundingBox())!;
        assert.ok(Math.abs(ask.width * (1000 / 2840) - (second - tick)) <= 0.5);
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= width, "nothing is cut off");
      },
      { viewport: { width, height: 800 } },
    ));
}

test("new traces arrive; whoever has scrolled is not moved", async () => {
  const own = await startCollector();
  const at = own.url.replace(/api$/, "");
  const add = (n: number) => {
    const times = { start_time: new Date(start).toISOString(), end_time: new Date(start + n).toISOString() };
    return send(own, "workerd", "traces/batch", { traces: [{ id: idAt(start, n), name: `trace ${n}`, ...times }] });
  };
  try {
    await withPage(
      "",
      async (page) => {
        await page.locator(".welcome", { hasText: `OPIK_URL_OVERRIDE=${own.url}` }).waitFor();
        for (let n = 1; n <= 60; n += 1) await add(n);
        await page.locator("a.row", { hasText: "trace 60" }).waitFor();
        await page.locator(".scroller").evaluate((element) => element.scrollTo({ top: 400 }));
        await page.locator("a.row", { hasText: "trace 40" }).waitFor();
        await add(61);
        await page.locator(".arrived", { hasText: "1 new" }).waitFor();
        assert.equal(await page.locator(".scroller").evaluate(({ scrollTop }) => scrollTop), 400);
        assert.equal(await page.locator("a.row", { hasText: "trace 61" }).count(), 0);
        await page.locator(".arrived").click();
        await page.locator("a.row", { hasText: "trace 61" }).waitFor();
      },
      { at },
    );
  } finally {
    await own.close();
  }
});

test("10,000 spans are at most 500 elements, wherever one looks", async () => {
  const own = await startCollector();
  const trace = idAt(start, 1);
  const spans = Array.from({ length: 10_000 }, (_, n) => ({
    id: idAt(start + n, 2),
    trace_id: trace,
    ...(n > 0 && { parent_span_id: idAt(start + Math.floor((n - 1) / 3), 2) }),
    name: `span ${n}`,
    start_time: new Date(start + n).toISOString(),
    end_time: new Date(start + n + 50).toISOString(),
  }));
  for (let at = 0; at < spans.length; at += 1000)
    await send(own, "workerd", "spans/batch", { spans: spans.slice(at, at + 1000) });
  try {
    await withPage(
      `#/trace/${trace}`,
      async (page) => {
        const elements = () => page.evaluate(() => document.querySelectorAll("*").length);
        await line(page, "span 0").waitFor();
        assert.ok((await elements()) <= 500, `${await elements()} elements`);
        await page.keyboard.press("End");
        await page.locator("[role=treeitem][aria-selected=true]").waitFor();
        assert.ok((await elements()) <= 500, `${await elements()} elements`);
        await page.locator("input[type=search]").fill("span 9876");
        await page.keyboard.press("Enter");
        assert.equal(await page.locator("[role=treeitem][aria-selected=true] .text").innerText(), "span 9876");
        await page.keyboard.press("Escape");
        await page.locator("input[type=search]").fill("");
        await page.locator("[role=tree]").focus();
        // A frame's cost, as counts: elements that a step makes, and how often it has the page laid out.
        const client = await page.context().newCDPSession(page);
        await client.send("Performance.enable");
        const layouts = async () => {
          const { metrics } = await client.send("Performance.getMetrics");
          return metrics.find(({ name }) => name === "LayoutCount")!.value;
        };
        const costOf = async (step: () => Promise<void>, times: number) => {
          await page.evaluate(() => {
            const made = { count: 0 };
            Object.assign(globalThis, { made });
            new MutationObserver((changes) => {
              for (const { addedNodes } of changes) made.count += addedNodes.length;
            }).observe(document.body, { childList: true, subtree: true });
          });
          const before = await layouts();
          for (let n = 0; n < times; n += 1) {
            await step();
            await page.evaluate(
              () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
            );
          }
          const made = await page.evaluate(() => (globalThis as unknown as { made: { count: number } }).made.count);
          return { made: made / times, layouts: ((await layouts()) - before) / times };
        };
        const scroll = (px: number) => () =>
          page.locator(".scroller").evaluate((element, by) => element.scrollBy({ top: by }), px);
        const oneLine = await costOf(scroll(26), 20);
        const screen = await costOf(scroll(2600), 20);
        const key = await costOf(() => page.keyboard.press("ArrowUp"), 20);
        assert.ok(oneLine.made <= 2 && oneLine.layouts <= 3, JSON.stringify(oneLine));
        assert.ok(screen.made <= 60 && screen.layouts <= 3, JSON.stringify(screen));
        assert.ok(key.made <= 5 && key.layouts <= 3, JSON.stringify(key));
      },
      { at: own.url.replace(/api$/, "") },
    );
  } finally {
    await own.close();
  }
});

const HOSTILE: Record<string, string> = {
  "a script": "<script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)>\"'`",
  "a link": "javascript:alert(1)//[x](javascript:alert(1)) https://evil.example/x.png",
  "what turns text around": "a\u202egnp.exe\u2066\u200fb",
  "a megabyte": "x".repeat(1_000_000),
  "control characters": "a\u0000b\u001b[31mc\u2028d",
  "half a character": "a\ud800b",
  "names of prototypes": "__proto__",
};
for (const [what, text] of Object.entries(HOSTILE)) {
  test(`${what} in every field stays text`, async () => {
    const own = await startCollector();
    const id = idAt(start, 1);
    const short = text.slice(0, 140);
    const times = { start_time: new Date(start).toISOString(), end_time: new Date(start + 5).toISOString() };
    const messages = [
      { role: text, content: text },
      {
        role: "assistant",
        content: [{ type: "image_url", image_url: { url: text } }],
        tool_calls: [{ id: text, function: { name: text, arguments: text } }],
      },
    ];
    const fields = {
      ...times,
      name: text,
      project_name: text,
      environment: short,
      metadata: { [text]: { [text]: text } },
      tags: [text],
      error_info: { exception_type: text, message: text, traceback: text },
    };
    const trace = { ...fields, id, thread_id: text, input: { messages }, output: { answer: text } };
    const span = { ...fields, trace_id: id, type: "llm", model: text, provider: text, usage: { [text]: 1 } };
    const spans = [
      { ...span, id: idAt(start, 2), input: { messages }, output: { [text]: text } },
      { ...span, id: idAt(start, 3), parent_span_id: idAt(start, 2), input: { text }, output: [{ text }] },
    ];
    assert.equal(await send(own, "workerd", "traces/batch", { traces: [trace] }), 204);
    assert.equal(await send(own, "workerd", "spans/batch", { spans }), 204);
    await send(own, "workerd", "traces/feedback-scores", {
      scores: [{ id, name: text, value: 1, source: "sdk", reason: text, project_name: text }],
    });
    await send(own, "workerd", "spans/batch", {
      spans: [
        { ...spans[0], id: text },
        { ...spans[0], type: text },
      ],
    });
    try {
      const keys = own.store
        .ofTrace(id)
        .map(({ entity, key }) => (entity === "spans" ? encodeURIComponent(key) : "trace"));
      const places = ["", "refusals", ...keys.map((key) => `trace/${id}/${key}`)];
      for (const place of places) {
        await withPage(
          `#/${place}`,
          async (page) => {
            await page
              .locator(place === "" ? "a.row" : place === "refusals" ? ".refusal" : ".detail .error-box")
              .first()
              .waitFor();
            assert.equal(await page.locator("main :is(script, img, iframe, object, a[href^=javascript])").count(), 0);
          },
          { at: own.url.replace(/api$/, "") },
        );
      }
      await withPage(
        `#/trace/${id}`,
        async (page) => {
          await page.locator(".summary a").first().click();
          await page.locator(".turn").waitFor();
        },
        { at: own.url.replace(/api$/, "") },
      );
    } finally {
      await own.close();
    }
  });
}

describe("in both schemes and at both widths, axe finds nothing", () => {
  const views: Record<string, [place: () => string, shown: string]> = {
    list: [() => "", "a.row"],
    waterfall: [() => `trace/${sample.trace}`, ".bar"],
    conversation: [() => `trace/${sample.trace}/${keyOf("llm", 1)}`, ".bubble"],
    error: [() => `trace/${sample.trace}/${keyOf("sum_invoices")}`, ".error-box"],
    thread: [() => `thread/${sample.thread}`, ".turn"],
    refusals: [() => "refusals", ".refusal"],
    compare: [() => `compare/${sample.trace}/${idAt(start + 20_000, 1)}`, ".pair .pill"],
  };
  for (const [view, [place, shown]] of Object.entries(views)) {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const [width, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
        test(`${view}, ${colorScheme}, ${width}`, () =>
          withPage(
            `#/${place()}`,
            async (page) => {
              await page.locator(shown).first().waitFor();
              await page.screenshot({ path: join(PICTURES, `${view}-${width}-${colorScheme}.png`) });
              await page.evaluate(await readFile(AXE, "utf8"));
              const violations = await page.evaluate(async () => {
                // biome-ignore lint/suspicious/noExplicitAny: what the line above has put there
                const found = await (globalThis as any).axe.run();
                return found.violations.map(
                  (one: { id: string; nodes: { html: string }[] }) => `${one.id}: ${one.nodes[0]?.html}`,
                );
              });
              assert.deepEqual(violations, []);
            },
            { viewport, colorScheme },
          ));
      }
    }
  }
});
