import { Opik } from "opik-edge";
import { observe, traced } from "./traced.js";

const opik = new Opik({ observe });

export default {
  hostname: "127.0.0.1",
  port: process.env.PORT,
  fetch: async ({ headers }) => Response.json(await traced(opik, headers, process.env.ECHO_URL)),
};
