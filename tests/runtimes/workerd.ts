// Runs the suite inside workerd: the request's body is its environment, the response contains its results.

import { runSuite } from "./suite.js";

export default {
  async fetch(request: Request): Promise<Response> {
    return Response.json(await runSuite(await request.json()));
  },
};
