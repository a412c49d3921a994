// How much a process has computed, seen from outside: in workerd no clock can be trusted, and on a shared machine no clock
// on the wall.

import { readdir, readFile } from "node:fs/promises";

/** The CPU time of all threads of a process, in ms; `undefined` where the system does not tell (all but Linux). */
export async function cpuMilliseconds(pid: number): Promise<number | undefined> {
  const folder = `/proc/${pid}/task`;
  const threads = await readdir(folder).catch(() => []);
  if (threads.length === 0) return undefined;
  let nanoseconds = 0;
  for (const thread of threads) {
    // A thread may have ended since.
    const text = await readFile(`${folder}/${thread}/schedstat`, "utf8").catch(() => "0");
    nanoseconds += Number(text.split(" ", 1)[0]);
  }
  return nanoseconds / 1e6;
}
