// A service with the official TypeScript SDK. Its `track` has no way to continue a caller's trace. Prints its port.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { flushAll, track } from "opik";

const serve = track({ name: "serve", type: "general" }, async () => "served");

const server = createServer(async (_request, response) => {
  const answer = await serve();
  await flushAll();
  response.end(answer);
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
