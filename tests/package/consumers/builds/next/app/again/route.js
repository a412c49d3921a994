// A second route, so that both share a chunk.

import { call } from "../../call.js";

export const GET = call;
