// Gives the responses of app.ts through a listener of Node's servers.

import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { call, current, endless, lines } from "./app.js";

/** Answers a request. Errors are left to the server. */
export async function respond({ url }: IncomingMessage, response: ServerResponse, echo: string): Promise<unknown> {
  switch (url?.split("?")[0]) {
    case "/call":
      return response.end(JSON.stringify(await call(echo)));
    case "/stream":
      return Readable.from(lines(current())).pipe(response);
    case "/endless":
      return Readable.from(endless()).pipe(response);
    case "/throws":
      throw new TypeError("from the handler");
    default:
      response.statusCode = 418;
      return response.end("short and stout");
  }
}
