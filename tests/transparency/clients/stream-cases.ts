// What hosts do with the streams of several SDKs in the same way.

import type { Case, Host } from "./case.js";

/** Asks for a stream, as an SDK gives it: in a promise, mostly one of its own. */
type Open<S> = (host: Host) => PromiseLike<S>;

/** The host leaves its loop after the first item, and then has a `look` at the stream. */
export function leftByBreak<S extends AsyncIterable<unknown>>(
  open: Open<S>,
  look: (stream: S) => unknown = () => undefined,
): Case {
  return {
    run: async (host) => {
      const stream = await host.call(() => open(host));
      for await (const item of stream) {
        host.saw("item", item);
        break;
      }
      return look(stream);
    },
    // SDKs cancel the body, abort their signal, or do one after the other.
    calls: ["200 cancelled|200 stopped"],
    spans: ["done|cancelled|stopped"],
    hangUps: 1,
  };
}

/** The server closes its connection after the first item. */
export function breaksOff<S extends AsyncIterable<unknown>>(open: Open<S>): Case {
  return {
    run: async (host) => {
      const stream = await host.call(() => open(host));
      for await (const item of stream) {
        host.saw("item", item);
        await host.breakOff();
      }
    },
    calls: ["200 error"],
    spans: ["done|error"],
  };
}
