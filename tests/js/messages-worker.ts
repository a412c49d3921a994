// A Worker whose handlers take their settings from nowhere or from its bindings, and also use the package's own functions.

import { Opik, span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

interface Env {
  readonly URL?: string;
}

export class Room {
  fetch(): Response {
    return new Response();
  }
}
export const Wrapped = withOpik(Room);

export default withOpik({
  async fetch(_request: Request, env: Env, _ctx: unknown): Promise<Response> {
    span({ name: "by the package's own function" }, () => {});
    if (env.URL === undefined) return new Response("untraced");
    return new Promise((resolve) => {
      const url = env.URL;
      const opik = new Opik({ url, onError: ({ code, message }) => resolve(new Response(`${code}: ${message}`)) });
      opik.span({ name: "one", parent: null }).end();
      void opik.flush({ timeoutMs: 20_000 });
    });
  },
});
