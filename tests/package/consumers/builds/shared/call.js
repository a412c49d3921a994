// A handler that makes a call to a model, so that both modules of the package are loaded.

import { fetch } from "opik-edge";
import { llm } from "opik-edge/llm";
import { withOpik } from "opik-edge/server";

const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });

export const call = withOpik(
  () => fetch(`${process.env.ECHO_URL}/v1/chat/completions`, { method: "POST", body }),
  () => ({ observe: [llm()] }),
);
