// The Hono app as a Worker.

import { honoApp } from "./hono-app.js";

interface Env {
  ECHO: string;
}

export default honoApp<Env>(
  () => ({ projectName: "servers" }),
  ({ ECHO }) => ECHO,
);
