// Listeners whose errors are not caught.

import type { IncomingMessage, ServerResponse } from "node:http";

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

const fail = (text: string): never => {
  throw new TypeError(text);
};
const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** The listeners, by the kind of failure. */
export const CRASHES: Readonly<Record<string, Listener>> = {
  nothing: (_, response) => response.end(),
  "the listener throws": () => fail("of the listener"),
  "it throws when it has answered": (_, response) => {
    response.end();
    fail("when it has answered");
  },
  "an async listener throws": async () => fail("of the async listener"),
  "an async listener throws later": async (_, response) => {
    response.end();
    await later();
    fail("of the async listener, later");
  },
  "an async listener throws nothing": async () => {
    throw undefined;
  },
  "its promise is handled by the host": (_, response) => {
    const promise = later().then(() => fail("which is handled"));
    promise.catch(() => response.end());
    return promise;
  },
  "its promise is handled late": (_, response) => {
    const promise = Promise.reject(new TypeError("which is handled late"));
    queueMicrotask(() => promise.catch(() => response.end()));
    return promise;
  },
  "nobody handles its promise": (_, response) => {
    response.end();
    return Promise.reject(new TypeError("of a promise"));
  },
  "a listener of data throws": (given) => given.on("data", () => fail("in data")),
  "a listener of end throws": (given) => given.resume().on("end", () => fail("in end")),
  "a listener of finish throws": (_, response) => response.on("finish", () => fail("in finish")).end(),
  "a listener of close throws": (_, response) => response.on("close", () => fail("in close")).end(),
  "an error that nobody listens to": (given) => given.emit("error", new TypeError("unheard")),
};
