// How much a test does that can be long or short.

/** Whether this is `scripts/check --long`. */
export const LONG: boolean = process.env["OPIK_EDGE_LONG"] === "1";
