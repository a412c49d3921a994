// The two sides of every case.

/** `plain` is without tracing. */
export type Side = "plain" | "traced";
