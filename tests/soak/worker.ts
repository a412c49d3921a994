// The soak in one workerd isolate: /chat is one request, /result returns the counts of all of them.

import "./timers.js";

import { prepare } from "./requests.js";

interface Env {
  REQUESTS: string;
}

let soak: ReturnType<typeof prepare> | undefined;

export default {
  fetch(request: Request, env: Env, ctx: object): Response | Promise<Response> {
    soak ??= prepare(Number(env.REQUESTS));
    return request.url.endsWith("/result") ? Response.json(soak.result()) : soak.fetch(request, env, ctx);
  },
};
