// UUIDv7 ids as text. They are read here without a call into the core, which may be missing; `Id` in src/id.rs is the twin.

/** A UUIDv7 with hyphens. */
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The time in a UUIDv7, in ms since 1970; `undefined` if `text` is not a UUIDv7. */
export function idTime(text: string): number | undefined {
  // Parses the first twelve digits and stops at the second hyphen.
  return ID.test(text) ? Number.parseInt(text.replace("-", ""), 16) : undefined;
}
