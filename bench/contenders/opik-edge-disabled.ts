// This package, with the setting `disabled`.

import { HEADERS } from "../shapes.js";
import { withClient } from "./opik-edge.js";

export const contender = withClient({ disabled: true }, HEADERS);
