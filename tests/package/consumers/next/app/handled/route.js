import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/server";
import { observe } from "../../traced.js";

// Recorded rows are sent automatically.
export const GET = withOpik(
  async () => {
    const body = JSON.stringify({ messages: [{ role: "user", content: "Hi" }] });
    return Response.json(
      await (await fetch(`${process.env.ECHO_URL}/v1/chat/completions`, { method: "POST", body })).json(),
    );
  },
  () => ({ observe }),
);
