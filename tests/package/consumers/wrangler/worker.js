// The root span is the invocation's, and the flush is in its waitUntil.

import { fetch } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

export default withOpik({ fetch: (_request, env) => fetch(env.ECHO_URL) });
