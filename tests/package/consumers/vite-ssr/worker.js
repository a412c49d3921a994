// The invocation opens the root span, and flushes in its waitUntil.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";

const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });

export default withOpik(
  { fetch: (_request, env) => fetch(`${env.ECHO_URL}/v1/chat/completions`, { method: "POST", body }) },
  () => ({ observe: [llm()] }),
);
