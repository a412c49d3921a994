// Checks that a contender did its work: a tracer that drops spans is not fast.

import assert from "node:assert/strict";
import type { Delivered } from "./contender.js";
import { type Shape, worksOf } from "./shapes.js";

/** Fails unless all spans of `shape` arrived, in their places, with their payloads. */
export function checkDelivered(
  delivered: readonly Delivered[],
  shape: Shape,
  caller: { readonly traceId: string; readonly spanId: string },
): void {
  const works = worksOf(shape);
  assert.equal(delivered.length, works.length, "spans arrived");
  assert.equal(new Set(delivered.map(({ id }) => id)).size, works.length, "ids are different");
  const root = delivered.find(({ parentId }) => parentId === caller.spanId);
  assert.ok(root, "the root is under the caller's span");
  for (const { traceId } of delivered) assert.equal(traceId, caller.traceId, "in the caller's trace");
  for (const span of delivered)
    if (span !== root) assert.equal(span.parentId, root.id, `${span.name} is under the root`);
  const shown = ({ name, input, output }: Pick<Delivered, "name" | "input" | "output">): string =>
    JSON.stringify([name, input, output]);
  const wanted = works.map(shown).sort();
  const lost = delivered
    .map(shown)
    .sort()
    .find((payload, index) => payload !== wanted[index]);
  assert.equal(lost?.slice(0, 300), undefined, "a payload is another");
}
