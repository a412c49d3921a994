// This package around a Worker's handler, with the setting `disabled`.

import { HEADERS } from "../shapes.js";
import { withHandler } from "./with-opik.js";

export const contender = withHandler({ disabled: true }, HEADERS);
