import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { llm } from "opik-edge/llm";

const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });

export default withOpik(
  {
    fetch(request, env) {
      if (new URL(request.url).pathname === "/text") return new Response("Hello");
      return fetch(`${env.ECHO_URL}/v1/chat/completions`, { method: "POST", body });
    },
  },
  () => ({ observe: [llm()] }),
);
