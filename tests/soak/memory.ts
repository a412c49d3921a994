// Memory measured ten times during a run, and its growth.

import { ownWorkerds, residentBytes as residentBytesOf } from "../support/processes.js";

/** Bytes in a megabyte. */
export const MB = 1024 * 1024;

/** Growth in bytes: the median of the last four sizes less the median of the second to fifth. The first is warm-up. */
export function growth(sizes: number[]): number {
  const median = (part: number[]): number => part.toSorted((a, b) => a - b)[part.length >> 1]!;
  return median(sizes.slice(6)) - median(sizes.slice(1, 5));
}

/** The sizes as text for messages. */
export const shown = (sizes: number[]): string => `${sizes.map((size) => (size / MB).toFixed(1)).join(" ")} MB`;

/** Resident memory of the workerd that this process has started. */
export async function residentBytes(): Promise<number | undefined> {
  const [workerd] = await ownWorkerds();
  return workerd === undefined ? undefined : residentBytesOf(workerd);
}
