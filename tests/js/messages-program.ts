// Records one span for the Opik that it is told of, flushes, and prints what the host is told first.

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
