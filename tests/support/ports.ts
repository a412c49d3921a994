// A port of this machine that nobody has.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that a system gives whoever asks for any port, and above those that browsers do not call. */
const [FROM, TO] = [11_000, 32_000];

/** A port that was free a moment ago. It stays so: only who asks here can come by it, and is not likely to. */
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
