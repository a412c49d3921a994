// The app with Hono, as a Worker.

import { honoApp } from "./hono-app.js";

interface Env {
  ECHO: string;
}

export default honoApp<Env>(
  () => ({ projectName: "servers" }),
  ({ ECHO }) => ECHO,
);
