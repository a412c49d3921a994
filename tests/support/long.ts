// Chooses between the short and the long form of a test.

/** `true` under `scripts/check --long`. */
export const LONG: boolean = process.env["OPIK_EDGE_LONG"] === "1";
