// An id as text: a UUIDv7. Reading one here costs no call into the core, which may not be there; `Id` in src/id.rs is its twin.

/** A UUIDv7 with hyphens. */
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The time that a UUIDv7 carries, in ms since 1970; `undefined` when `text` is none. */
export function idTime(text: string): number | undefined {
  // The first twelve digits; it stops at the second hyphen.
  return ID.test(text) ? Number.parseInt(text.replace("-", ""), 16) : undefined;
}
