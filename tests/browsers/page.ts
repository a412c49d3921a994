// Functions of the test pages, which the driver calls by name.

import { Opik, type OpikError, serverContext } from "opik-edge";
import { opikDoctor } from "opik-edge/doctor";
import { llm } from "opik-edge/llm";

// A private window has no database.
if (location.search.includes("private")) Object.defineProperty(globalThis, "indexedDB", { value: undefined });

// Visibility of the page at each upload.
const uploads: string[] = [];
const native = globalThis.fetch;
globalThis.fetch = (input, init) => {
  if (String(input).endsWith("/opik")) uploads.push(document.visibilityState);
  return native(input, init);
};

const query = new URLSearchParams(location.search);
const errors: OpikError[] = [];
const drops: Record<string, number> = {};

// The user who is logged in, for a relay with tokens.
let user = query.get("user");
async function token(): Promise<string | undefined> {
  const response = await fetch(`/token?${new URLSearchParams({ user: user ?? "", ...traceOf(query) })}`);
  return response.ok ? response.text() : undefined;
}
const traceOf = (given: URLSearchParams): Record<string, string> =>
  given.has("trace") ? { trace: given.get("trace") as string } : {};

// With `looking`, the client is disabled, because an active client would send the kept rows.
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

/** Opens the client's database. On a busy machine WebKit does not always open it at once, so it is asked again. */
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

  /** A click: a trace with a call to the API under it, whose stream is read to the end. */
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

  /** Asks a model through the site, with the page's own `fetch`, once by a text and once by a `Request`. */
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

  /** Leaves rows behind when the page goes; returns their ids, the trace's first. */
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

  /** From now on, another user is logged in, or nobody (""). */
  logIn(name: string) {
    user = name;
  },

  /** The page's part of a logout. */
  async logOut() {
    user = "";
    const { sent, dropped } = await opik.discard();
    return { sent, dropped };
  },

  /** Scores a trace by its id. */
  score(traceId: string) {
    opik.score({ traceId, name: "helpful", value: 1 });
  },

  /** Begins an open span, with an ended span under it. */
  begin() {
    const span = opik.span({ name: "going on" });
    const child = span.span({ name: "has ended" });
    child.end();
    end = () => span.end();
    return [span.traceId, span.id, child.id];
  },
  end: () => end(),

  /**
   * Reads a stream to its end, until it fails, or up to `chunks` chunks. Returns the trace and the number of bytes read.
   */
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
      // The failure is expected.
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

  /** Records the page's loading under the server's context. */
  hydrate() {
    const span = opik.span({ name: "hydrate", parent: serverContext() });
    span.end();
    return { trace: span.traceId, joined: span.trace.joined };
  },

  /** `true` if elements shadow all of these members, which the package reads. */
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

  /** Makes a traced call to another origin that does not allow it. */
  async stranger(url: string) {
    await opik.fetch(url).catch(() => {});
    while (errors.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    return errors.map(({ code, message }) => `${code}: ${message}`);
  },

  /** The ids of the rows in this browser's database. */
  async kept() {
    const database = await openDatabase();
    return new Promise((resolve, reject) => {
      const reading = database.transaction("rows").objectStore("rows").getAll();
      reading.onsuccess = () => resolve(reading.result.map(idOf));
      reading.onerror = () => reject(reading.error);
      database.close();
    });
  },

  /** Stores a row as a version without visits did: without a secret, with a token or without. */
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

  /** Makes the database fail once: at the next transaction, or the next that deletes a row. */
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

  /** The doctor's findings about the relay, and about the way to a URL. */
  async doctor(relayUrl: string, url: string) {
    const findings = await opikDoctor({ config: { relayUrl }, url });
    return findings.map(({ check, level, found, fix }) => [check, level, fix ?? found]);
  },

  async flush() {
    const { sent, dropped } = await opik.flush({ timeoutMs: 2000 });
    return { sent, dropped };
  },
});
