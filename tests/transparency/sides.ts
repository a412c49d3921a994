// The two sides of every case.

/** Without tracing, and with it. */
export type Side = "plain" | "traced";
