// Finds a free port on this machine.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below the ports that a system hands out on request, and above those that browsers block. */
const [FROM, TO] = [11_000, 32_000];

/** A port that was free a moment ago. Only callers of this function are likely to take it, and each of them picks at random. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(randomInt(FROM, TO), "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return freePort();
  }
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
