import { Opik } from "opik-edge";
import { observe, traced } from "../../traced.js";

export async function GET(request) {
  return Response.json(await traced(new Opik({ observe }), request.headers, process.env.ECHO_URL));
}
