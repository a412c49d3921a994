// This package around a Worker's handler, with a request that is not in the sample: one without a caller.

import { withHandler } from "./with-opik.js";

export const contender = withHandler({ sampleRate: 0 }, new Headers());
