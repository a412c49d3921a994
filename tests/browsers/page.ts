// What the test pages do: functions that the driver calls by name.

import { Opik, type OpikError } from "opik-edge";

// A private window, where there is no database to be had.
if (location.search.includes("private")) Object.defineProperty(globalThis, "indexedDB", { value: undefined });

const errors: OpikError[] = [];
const opik = new Opik({ relayUrl: "/opik", onError: (error) => errors.push(error) });

Object.assign(globalThis, {
  errors: () => errors.map(({ code, message }) => `${code}: ${message}`),

  /** A click: a trace, a call to the API under it, its stream read to the end. */
  async click() {
    return opik.span({ name: "click", input: { button: "ask" } }, async (click) => {
      click.trace.update({ threadId: "tab-1" });
      const response = await click.fetch("/chat", { method: "POST", body: "hello" });
      const text = await response.text();
      click.update({ output: { text } });
      return { trace: click.traceId, span: click.id, text };
    });
  },

  /** The same through the page's own `fetch`, traced for a while. */
  async instrumented() {
    const native = fetch;
    const restore = opik.instrumentFetch({ ignore: ["https://ignored.test"] });
    const again = opik.instrumentFetch();
    const isReplaced = fetch !== native;
    const ids = await opik.span({ name: "instrumented" }, async (span) => {
      await (await fetch("/chat", { opik: { parent: span, name: "own name" } } as RequestInit)).text();
      return { trace: span.traceId, span: span.id };
    });
    again();
    const isStillReplaced = fetch !== native;
    restore();
    return { ...ids, isReplaced, isStillReplaced, isRestored: fetch === native };
  },

  /** Rows that are there when the page goes. */
  leave(count: number, bytes = 0) {
    const trace = opik.trace({ name: "leaving" });
    const text = "some text ".repeat(bytes / 10);
    for (let n = 0; n < count; n += 1) trace.span({ name: `left ${n}`, input: { text } }).end();
    trace.end();
    return trace.id;
  },

  /** How many rows the database of this browser holds. */
  kept() {
    return new Promise((resolve, reject) => {
      const opening = indexedDB.open("opik-edge", 1);
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const counting = opening.result.transaction("rows").objectStore("rows").count();
        counting.onsuccess = () => resolve(counting.result);
      };
    });
  },

  async flush() {
    const { sent, dropped } = await opik.flush();
    return { sent, dropped };
  },
});
