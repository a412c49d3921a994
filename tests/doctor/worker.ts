// A Worker that asks the doctor, and has it check the way to the Worker itself.

import { echoHeaders, opikDoctor } from "opik-edge/doctor";

interface Env {
  OPIK_URL_OVERRIDE: string;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === "/echo") return echoHeaders(request);
    return Response.json(await opikDoctor({ config: { env }, url: new URL("/echo", request.url).href }));
  },
};
