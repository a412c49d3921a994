// How much memory something takes, measured ten times on the way.

import { ownWorkerds, residentBytes as residentBytesOf } from "../support/processes.js";

/** In bytes. */
export const MB = 1024 * 1024;

/** What the later half takes more than the earlier one, after a tenth to get going. */
export function growth(sizes: number[]): number {
  const median = (part: number[]): number => part.toSorted((a, b) => a - b)[part.length >> 1]!;
  return median(sizes.slice(6)) - median(sizes.slice(1, 5));
}

/** For people. */
export const shown = (sizes: number[]): string => `${sizes.map((size) => (size / MB).toFixed(1)).join(" ")} MB`;

/** The resident memory of the workerd that this process has started. */
export async function residentBytes(): Promise<number | undefined> {
  const [workerd] = await ownWorkerds();
  return workerd === undefined ? undefined : residentBytesOf(workerd);
}
