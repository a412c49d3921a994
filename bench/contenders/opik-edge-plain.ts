// This package, with bodies that are not compressed, as in a Worker.

import { HEADERS } from "../shapes.js";
import { withClient } from "./opik-edge.js";

const transport = { compress: false, fetch: (url: string, init: object) => fetch(url, init) };

export const contender = withClient({ transport }, HEADERS);
