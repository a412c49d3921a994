// A Worker that calls the URL in its query a number of times, and answers with the headers that arrived there.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

export default withOpik(
  {
    async fetch(request: Request, _env: object): Promise<Response> {
      const { searchParams } = new URL(request.url);
      const calls = Array.from({ length: Number(searchParams.get("calls")) }, async () => {
        const response = await fetch(searchParams.get("url") ?? "");
        return response.json();
      });
      return Response.json(await Promise.all(calls));
    },
  },
  () => ({ propagation: ["w3c"], onError: () => {} }),
);
