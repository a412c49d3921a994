// The Hono app, for every platform that Hono runs on.

import { Hono } from "hono";
import { type OpikVariables, opikMiddleware, type ServerConfig } from "opik-edge/hono";
import { answer } from "./app.js";

/** Makes the app. Its options may depend on a Worker's `env`. */
export function honoApp<Env extends object>(
  config: (env: Env) => ServerConfig,
  echo: (env: Env) => string,
): Hono<{ Bindings: Env; Variables: OpikVariables }> {
  const app = new Hono<{ Bindings: Env; Variables: OpikVariables }>();
  app.use(opikMiddleware(config));
  app.get("/cookies", (c) => {
    c.header("set-cookie", "a=1", { append: true });
    c.header("set-cookie", "b=2", { append: true });
    return c.text("two cookies");
  });
  app.all("*", (c) => answer(c.req.path, echo(c.env), c.get("opik")));
  return app;
}
