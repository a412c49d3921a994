// The families of results.

export { RESPONSES, STREAMS as BODIES } from "./bodies.js";
export { builtin, type Ending, type Family, type Given, Host, macrotask } from "./host.js";
export { ITERATORS } from "./iterators.js";
export { NODE_STREAMS } from "./node-streams.js";
export { PROMISES } from "./promises.js";
export { VALUES } from "./values.js";
