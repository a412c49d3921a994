// A client that leaves in the middle of a response from workerd: the moment its span ends, and the event that the
// producer of the response sees.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { Watchers } from "../../viewer/src/server/watchers.js";
import { type Collector, startCollector } from "../support/collector.js";
import { startWorker } from "../support/worker.js";

/** Gives the chunks, and collects the events that the Worker reports. */
class Control {
  readonly #watchers = new Watchers();
  readonly #waiting: ((text: string) => void)[] = [];
  readonly heard: string[] = [];
  #asked = 0;
  readonly #server = createServer((request, response) => {
    const what = decodeURIComponent(request.url!.slice(1));
    if (what === "upstream") this.#stream(response);
    else if (what === "chunk") this.#ask((text) => response.end(text));
    else this.#hear(what, () => response.end());
  });

  #ask(give: (text: string) => void): void {
    this.#waiting.push(give);
    this.#asked += 1;
    this.#watchers.notify();
  }

  #hear(what: string, answer: () => void): void {
    this.heard.push(what);
    answer();
    this.#watchers.notify();
  }

  #stream(response: ServerResponse): void {
    response.flushHeaders();
    response.on("close", () => this.#hear("closed", () => {}));
    const next = (text: string): void => {
      response.write(text);
      this.#ask(next);
    };
    this.#ask(next);
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Gives the next chunk as soon as it is asked for. */
  async give(): Promise<void> {
    await this.until(() => this.isAsked);
    this.#waiting.shift()!("chunk\n");
  }

  /** Resolves when `times` chunks have been asked for. */
  asked(times: number): Promise<void> {
    return this.until(() => this.#asked >= times);
  }

  /** `true` if the Worker is waiting for a chunk. */
  get isAsked(): boolean {
    return this.#waiting.length > 0;
  }

  until(condition: () => boolean): Promise<void> {
    return this.#watchers.until(condition, () => `${this.#asked} chunks asked for; ${this.heard.join(", ")}`);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const PATHS = ["/pull", "/ahead", "/bytes", "/through", "/written", "/proxied"];

/** Chunks to give after the client has left until the Worker notices. The older workerd notices only when it writes. */
const NOTICED = { current: 1, old: 3 };

for (const workerd of ["current", "old"] as const) {
  describe(`a client that leaves ${workerd === "old" ? "an older" : "today's"} workerd`, () => {
    let collector: Collector;
    before(async () => {
      collector = await startCollector();
    });
    after(() => collector.close());

    for (const path of PATHS) {
      /** The first event that the producer hears after a client has read one chunk and left. */
      const run = async (side: "plain" | "traced"): Promise<string[]> => {
        const control = new Control();
        const bindings = { CONTROL: await control.listen(), SIDE: side, OPIK_URL_OVERRIDE: collector.url };
        const worker = await startWorker("tests/servers/hang-up-worker.ts", { bindings, workerd });
        try {
          const { hostname, port } = new URL(worker.url);
          const client = connect(Number(port), hostname);
          client.write(`GET ${path} HTTP/1.1\r\nHost: shop.example\r\n\r\n`);
          await control.give();
          for (let text = ""; !text.includes("chunk"); ) text += (await once(client, "data"))[0];
          await control.asked(2);
          client.resetAndDestroy();
          await once(client, "close");
          for (let n = 1; n <= NOTICED[workerd] && control.heard.length === 0; n += 1) {
            await control.give();
            await control.until(() => control.heard.length > 0 || (n < NOTICED[workerd] && control.isAsked));
          }
          if (side === "traced") {
            const rows = () => collector.spans().filter(({ name }) => name === `GET ${path}`);
            await collector.until(() => rows().length === 1);
            assert.deepEqual(rows()[0]!["metadata"], { opik_edge_cancelled: true });
          }
          return control.heard.slice(0, 1);
        } finally {
          await worker.close();
          control.close();
        }
      };
      if (workerd === "current") {
        test(`${path}: its span ends when its producer hears of it, as early as without tracing`, async () => {
          assert.deepEqual(await run("traced"), await run("plain"));
        });
      } else {
        // Without tracing its producer might never hear of it.
        test(`${path}: its span ends when its producer hears of it`, async () => {
          assert.equal((await run("traced")).length, 1);
        });
      }
    }
  });
}
