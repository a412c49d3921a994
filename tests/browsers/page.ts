// What the test pages do: functions that the driver calls by name.

import { Opik, type OpikError, serverContext } from "opik-edge";
import { opikDoctor } from "opik-edge/doctor";
import { llm } from "opik-edge/llm";

// A private window, where there is no database to be had.
if (location.search.includes("private")) Object.defineProperty(globalThis, "indexedDB", { value: undefined });

// Whether the page could be seen when it uploaded.
const uploads: string[] = [];
const native = globalThis.fetch;
globalThis.fetch = (input, init) => {
  if (String(input).endsWith("/opik")) uploads.push(document.visibilityState);
  return native(input, init);
};

const query = new URLSearchParams(location.search);
const errors: OpikError[] = [];
const drops: Record<string, number> = {};

// Who is logged in, where the relay asks for tokens.
let user = query.get("user");
async function token(): Promise<string | undefined> {
  const response = await fetch(`/token?${new URLSearchParams({ user: user ?? "", ...traceOf(query) })}`);
  return response.ok ? response.text() : undefined;
}
const traceOf = (given: URLSearchParams): Record<string, string> =>
  given.has("trace") ? { trace: given.get("trace") as string } : {};

// A visit that only looks has no client, which would send what it finds.
const opik = new Opik({
  ...(user === null ? { relayUrl: "/opik" } : { relayUrl: "/guarded", token }),
  disabled: query.has("looking"),
  observe: [llm()],
  propagateTo: query.getAll("friend"),
  onError: (error) => errors.push(error),
  onDrop: ({ reason, rows }) => {
    drops[reason] = (drops[reason] ?? 0) + rows;
  },
});

let end = (): void => {};

/** The client's database. On a busy machine WebKit does not always open it at once: then it is asked again. */
async function openDatabase(): Promise<IDBDatabase> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await new Promise((resolve, reject) => {
        const opening = indexedDB.open("opik-edge", 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore("rows", { keyPath: "key" });
        opening.onerror = () => reject(opening.error);
        opening.onsuccess = () => resolve(opening.result);
      });
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const idOf = ({ json }: { json: Uint8Array }): string => JSON.parse(new TextDecoder().decode(json)).id;

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

  /** Asks a model that the site passes on, through the page's own `fetch`, once by a text and once by a `Request`. */
  async askModel() {
    const restore = opik.instrumentFetch();
    const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "Hi" }] });
    const init = { method: "POST", body, headers: { "content-type": "application/json" } };
    const url = new URL("/v1/chat/completions", location.href);
    return opik.span({ name: "asks" }, async (span) => {
      const texts: string[] = [];
      for (const args of [[url, init], [new Request(url, init)]] as Parameters<typeof fetch>[]) {
        const call = { ...args[1], opik: { parent: span } } as RequestInit;
        texts.push(await (await fetch(args[0], call)).text());
      }
      restore();
      return { trace: span.traceId, texts };
    });
  },

  /** Rows that are there when the page goes: gives their ids, the trace's first. */
  leave(count: number, bytes = 0) {
    const trace = opik.trace({ name: "leaving" });
    const text = "some text ".repeat(bytes / 10);
    const ids = [trace.id];
    for (let n = 0; n < count; n += 1) {
      const span = trace.span({ name: `left ${n}`, input: { text } });
      ids.push(span.id);
      span.end();
    }
    trace.end();
    return ids;
  },

  /** Another user, or nobody (""), is logged in from now on. */
  logIn(name: string) {
    user = name;
  },

  /** What a page does at a logout. */
  async logOut() {
    user = "";
    const { sent, dropped } = await opik.discard();
    return { sent, dropped };
  },

  /** Scores a trace by its id. */
  score(traceId: string) {
    opik.score({ traceId, name: "helpful", value: 1 });
  },

  /** Something that goes on, with something under it that has ended. */
  begin() {
    const span = opik.span({ name: "going on" });
    const child = span.span({ name: "has ended" });
    child.end();
    end = () => span.end();
    return [span.traceId, span.id, child.id];
  },
  end: () => end(),

  /** Reads a stream: to its end, or until it fails, or so many chunks. Gives the trace and the number of bytes read. */
  async stream(url: string, chunks: number | null) {
    const span = opik.span({ name: "reading" });
    const response = await span.fetch(url, { opik: { name: "call" } });
    const reader = response.body!.getReader();
    let bytes = 0;
    try {
      for (let n = 0; n < (chunks ?? Number.POSITIVE_INFINITY); n += 1) {
        const { done, value } = await reader.read();
        if (done) break;
        bytes += value.length;
      }
      await reader.cancel();
    } catch {
      // It was to fail.
    }
    span.end();
    return { trace: span.traceId, bytes };
  },

  /** Reads a stream that does not end, and goes on reading. */
  async reading() {
    const span = opik.span({ name: "reading" });
    const child = span.span({ name: "has ended" });
    child.end();
    const response = await span.fetch("/stream?how=goes-on");
    const reader = response.body!.getReader();
    await reader.read();
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return [child.id];
  },

  /** What belongs to the page's loading, under what the server has said. */
  hydrate() {
    const span = opik.span({ name: "hydrate", parent: serverContext() });
    span.end();
    return { trace: span.traceId, joined: span.trace.joined };
  },

  /** Whether elements stand in place of what this package asks for. */
  isClobbered() {
    const { Deno, AsyncLocalStorage } = globalThis as { Deno?: { unrefTimer: unknown }; AsyncLocalStorage?: unknown };
    const found = [
      document.querySelector,
      document.addEventListener,
      document.baseURI,
      Deno?.unrefTimer,
      AsyncLocalStorage,
    ];
    return found.every((member) => (member as unknown) instanceof Element);
  },

  /** A traced call to another origin that does not allow it. */
  async stranger(url: string) {
    await opik.fetch(url).catch(() => {});
    while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return errors.map(({ code, message }) => `${code}: ${message}`);
  },

  /** The ids of the rows that the database of this browser holds. */
  async kept() {
    const database = await openDatabase();
    return new Promise((resolve, reject) => {
      const reading = database.transaction("rows").objectStore("rows").getAll();
      reading.onsuccess = () => resolve(reading.result.map(idOf));
      reading.onerror = () => reject(reading.error);
      database.close();
    });
  },

  /** Puts a row at rest as a version without visits has left it: beside no secret, under a token or none. */
  async plant(token: string | null, url: string) {
    const time = Date.now().toString(16).padStart(12, "0");
    const random = Math.random().toString(16).slice(2).padEnd(12, "0").slice(0, 12);
    const id = `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${random}`;
    const row = { id, name: "planted", start_time: new Date().toISOString() };
    const json = new TextEncoder().encode(JSON.stringify(row));
    const entry = { key: `${url} gone 1`, tab: "gone", kind: "traces", json, ms: Date.now(), ...(token && { token }) };
    const database = await openDatabase();
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("rows", "readwrite");
      transaction.objectStore("rows").put(entry);
      transaction.oncomplete = () => resolve(id);
      transaction.onabort = () => reject(transaction.error);
      database.close();
    });
  },

  /** Has the database fail once: a transaction that is begun for a row to be forgotten, or any. */
  breakOnce(what: "delete" | "transaction") {
    const prototype = what === "delete" ? IDBObjectStore.prototype : IDBDatabase.prototype;
    const method = Reflect.get(prototype, what) as (...args: unknown[]) => unknown;
    Reflect.set(prototype, what, function (this: IDBObjectStore, ...args: unknown[]) {
      Reflect.set(prototype, what, method);
      if (what === "transaction") throw new DOMException("the connection is gone", "InvalidStateError");
      const request = method.apply(this, args);
      this.transaction.abort();
      return request;
    });
  },

  drops: () => drops,
  uploads: () => uploads,

  /** What the doctor says here of the relay, and of the way to a URL. */
  async doctor(relayUrl: string, url: string) {
    const findings = await opikDoctor({ config: { relayUrl }, url });
    return findings.map(({ check, level, found, fix }) => [check, level, fix ?? found]);
  },

  async flush() {
    const { sent, dropped } = await opik.flush({ timeoutMs: 2000 });
    return { sent, dropped };
  },
});
