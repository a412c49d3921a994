// A Worker that does not use `withOpik` and rarely flushes.

import { Opik } from "opik-edge";

interface Env {
  OPIK_URL_OVERRIDE: string;
}

// Clients are usually made at module level, where workerd refuses some operations. A client must not need any of them.
const atTheTop = new Opik({ url: "http://localhost:1/api" });
let opik: Opik | undefined;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    opik ??= new Opik({ env });
    switch (new URL(request.url).pathname) {
      case "/joined":
        opik.span({ name: "joined", parent: request }, (root) => root.span({ name: "below" }).end());
        return new Response();
      case "/flushed": {
        opik.span({ name: "flushed" }, () => {});
        const { sent } = await opik.flush();
        return Response.json(sent);
      }
      case "/many":
        for (let n = 0; n < 50; n += 1) opik.span({ name: "one of many" }, () => {});
        return new Response();
      default:
        opik.span({ name: "begun" }, () => {});
        return new Response(String(atTheTop !== undefined));
    }
  },
};
