// The clock and the random bytes: the only impure reads of the package.
// Everything else is given its time and its randomness as arguments.

/** The wall clock in whole milliseconds since 1970. On Workers it moves only at I/O. */
export function now(): number {
  return Date.now();
}

/** `length` random bytes from the platform's cryptographic source. */
export function randomBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}
