// The page: it begins the trace, and hands it on by W3C headers alone.

import { Opik } from "opik-edge";

const opik = new Opik({ relayUrl: "/opik", propagation: ["w3c"] });

/** Asks the Worker. Returns the id of the trace. */
async function ask(question: string): Promise<string> {
  return opik.span({ name: "ask", input: { question } }, async (span) => {
    const response = await span.fetch("/chat", { method: "POST", body: question });
    span.update({ output: await response.json() });
    return span.traceId;
  });
}

Object.assign(globalThis, { ask });
