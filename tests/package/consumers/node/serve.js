// A Node server. Its callers differ in how it finds the package.

import { createServer } from "node:http";
import { observe, traced } from "./traced.js";

export function serve(Opik) {
  const opik = new Opik({ observe });
  createServer(async (request, response) => {
    response.end(JSON.stringify(await traced(opik, request.headers, process.env.ECHO_URL)));
  }).listen(process.env.PORT, "127.0.0.1");
}
