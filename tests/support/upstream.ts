// A test server on 127.0.0.1 with one path for each way of answering.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { Watchers } from "../../viewer/src/server/watchers.js";

/** A running server. */
export interface TestUpstream {
  readonly url: string;
  /** Number of answers that the caller broke off. */
  readonly hungUp: () => number;
  /** Resolves once the caller has broken off that many. */
  untilHungUp(times: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server on a free port. It answers unknown paths with the request as JSON. */
export async function startTestUpstream(): Promise<TestUpstream> {
  let hungUp = 0;
  const watchers = new Watchers();
  const server = createServer((request, response) => {
    response.on("close", () => {
      if (!response.writableFinished) hungUp += 1;
      watchers.notify();
    });
    request.resume();
    switch (request.url) {
      case "/text":
        return response.end("text");
      case "/length":
        return response.writeHead(200, { "content-length": "6" }).end("length");
      case "/gzip":
        return response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("zipped".repeat(100)));
      case "/redirect":
        return response.writeHead(302, { location: "/text" }).end();
      case "/broken":
        // Resets the connection in the middle of the body.
        response.writeHead(200, { "access-control-allow-origin": "*" }).write("the first half");
        return setTimeout(() => request.socket.resetAndDestroy(), 20);
      case "/endless": {
        const timer = setInterval(() => response.write("more\n"), 10);
        return response.on("close", () => clearInterval(timer));
      }
      default:
        response.setHeader("content-type", "application/json");
        return response.end(JSON.stringify({ method: request.method, path: request.url, headers: request.headers }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hungUp: () => hungUp,
    untilHungUp: (times) =>
      watchers.until(
        () => hungUp >= times,
        () => `${hungUp} of ${times} hung up`,
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
