import { Opik } from "opik-edge";
import { traced } from "./traced.js";

const opik = new Opik();

export default {
  hostname: "127.0.0.1",
  port: process.env.PORT,
  fetch: async ({ headers }) => Response.json(await traced(opik, headers, process.env.ECHO_URL)),
};
