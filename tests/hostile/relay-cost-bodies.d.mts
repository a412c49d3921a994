/** The names of all. */
export const SHAPES: readonly string[];
/** The body of `shape`, of about so many bytes; its rows are of the time `ms`. */
export function bodyOf(shape: string, bytes: number, ms: number): string;
