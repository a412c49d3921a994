// This package, with bodies that are compressed, which a transport has to ask for.

import { HEADERS } from "../shapes.js";
import { withClient } from "./opik-edge.js";

const transport = { compress: true, fetch: (url: string, init: object) => fetch(url, init) };

export const contender = withClient({ transport }, HEADERS);
