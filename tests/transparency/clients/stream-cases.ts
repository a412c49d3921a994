// Cases that apply to the streams of several SDKs.

import type { Case, Host } from "./case.js";

/** Requests a stream from an SDK, which returns a promise, usually of a subclass. */
type Open<S> = (host: Host) => PromiseLike<S>;

/** The host leaves its loop after the first item, then calls `look` with the stream. */
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
    // SDKs cancel the body, abort their signal, or do both.
    calls: ["200 cancelled|200 stopped"],
    spans: ["done|cancelled|stopped"],
    hangUps: 1,
  };
}

/** The server closes the connection after the first item. */
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
