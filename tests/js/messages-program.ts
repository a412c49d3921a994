// Records one span for the Opik at the given URL, flushes, and prints the first message to the host.

import { Opik } from "opik-edge";

const { process } = globalThis as unknown as { process: { argv: string[]; exit(code: number): never } };
const opik = new Opik({
  url: process.argv[2],
  apiKey: "a-secret-key",
  background: false,
  onError({ code, message }) {
    console.log(`${code}: ${message}`);
    process.exit(0);
  },
});
opik.span({ name: "one" }).end();
await opik.flush({ timeoutMs: 60_000 });
