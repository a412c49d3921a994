import { Opik } from "opik-edge";
import { traced } from "../../traced.js";

export async function GET(request) {
  return Response.json(await traced(new Opik(), request.headers, process.env.ECHO_URL));
}
