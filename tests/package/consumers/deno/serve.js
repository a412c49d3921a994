// A Deno server. Its callers differ in how it finds the package.

import { observe, traced } from "./traced.js";

export function serve(Opik) {
  const opik = new Opik({ observe });
  Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, async ({ headers }) =>
    Response.json(await traced(opik, headers, Deno.env.get("ECHO_URL"))),
  );
}
