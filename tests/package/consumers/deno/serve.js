// A Deno server; how it comes by the package is what its callers differ in.

import { observe, traced } from "./traced.js";

export function serve(Opik) {
  const opik = new Opik({ observe });
  Deno.serve({ hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")) }, async ({ headers }) =>
    Response.json(await traced(opik, headers, Deno.env.get("ECHO_URL"))),
  );
}
