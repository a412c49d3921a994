// A Worker that makes the calls in the body of its request, as the suite of w3c/trace-context asks of a service: it POSTs the
// arguments of each call to its URL. It answers with their answers.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

export default withOpik(
  {
    async fetch(request: Request, _env: object): Promise<Response> {
      const calls: { url: string; arguments: unknown }[] = await request.json();
      const responses = calls.map(async (call) => {
        const response = await fetch(call.url, { method: "POST", body: JSON.stringify(call.arguments) });
        return response.json();
      });
      return Response.json(await Promise.all(responses));
    },
  },
  () => ({ propagation: ["w3c"], onError: () => {} }),
);
