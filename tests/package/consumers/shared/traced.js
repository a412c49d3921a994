// A traced request, the same in every consumer: under the caller's span, and on to a server that answers with the headers
// it received. It calls a model, so that the package's second module is loaded too.

import { llm } from "opik-edge/llm";

export const observe = [llm()];

export async function traced(opik, headers, url) {
  const answer = await opik.span({ name: "root", parent: headers }, async (root) => {
    await null;
    // A page has no automatic nesting. Everywhere else the span is still current.
    const current = typeof document === "object" ? root : opik;
    const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });
    return (await current.fetch(`${url}/v1/chat/completions`, { method: "POST", body })).json();
  });
  await opik.flush();
  return answer;
}
