/** The names of all bodies. */
export const SHAPES: readonly string[];
/** The body of `shape`, about `bytes` long; its rows have the time `ms`. */
export function bodyOf(shape: string, bytes: number, ms: number): string;
