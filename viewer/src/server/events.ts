// Tells pages which traces have changed. Never what: a page asks for what it shows.

import type { ServerResponse } from "node:http";
import type { ChangeEvent } from "../api.js";
import { Refusal } from "./refusal.js";

/** One event reports all changes of this time. */
const EVERY_MS = 250;
const MAX_LISTENERS = 64;
/** An event with more traces names none of them. */
const MAX_NAMED = 100;
/** A listener with more unread bytes is disconnected. */
const MAX_BACKLOG_BYTES = 1024 * 1024;

/** The listeners. */
export class Events {
  readonly #listeners = new Set<ServerResponse>();
  readonly #changed = new Set<string>();
  #isPending = false;
  #timer: NodeJS.Timeout | undefined;

  /** Answers with a stream of events, until the listener goes. */
  listen(response: ServerResponse): void {
    if (this.#listeners.size >= MAX_LISTENERS)
      throw new Refusal(503, `more than ${MAX_LISTENERS} pages listen already`);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    response.write("retry: 1000\n\n");
    this.#listeners.add(response);
    response.on("close", () => this.#listeners.delete(response));
  }

  /** These have changed; none of them: something else has. */
  tell(traces: Iterable<string>): void {
    if (this.#listeners.size === 0) return;
    for (const trace of traces) this.#changed.add(trace);
    if (this.#isPending) return;
    this.#isPending = true;
    this.#timer = setTimeout(() => this.#send(), EVERY_MS);
  }

  #send(): void {
    this.#isPending = false;
    const isMany = this.#changed.size === 0 || this.#changed.size > MAX_NAMED;
    const event: ChangeEvent = { traces: isMany ? null : [...this.#changed] };
    this.#changed.clear();
    for (const listener of this.#listeners) {
      if (listener.writableLength > MAX_BACKLOG_BYTES) listener.destroy();
      else listener.write(`data: ${JSON.stringify(event)}\n\n`);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const listener of this.#listeners) listener.destroy();
  }
}
