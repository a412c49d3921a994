// This package, with a request that is not in the sample: it begins a trace, since a caller's is always followed.

import { withClient } from "./opik-edge.js";

export const contender = withClient({ sampleRate: 0 }, null);
