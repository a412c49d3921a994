// The caller of client.py with the official TypeScript SDK. It calls TARGET_URL, and prints the same as client.py.

import { flushAll, getDistributedTraceHeaders, track } from "opik";

const ask = track({ name: "ask", type: "general" }, async (message: string) => {
  const headers = getDistributedTraceHeaders()!;
  const response = await fetch(process.env["TARGET_URL"]!, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ message, query: message, stream: process.env["STREAM"] === "1" }),
  });
  const answer = await response.text();
  console.log(JSON.stringify({ trace_id: headers["opik_trace_id"], status: response.status, answer }));
  return answer;
});

await ask("What is a trace?");
await flushAll();
process.exit(0);
