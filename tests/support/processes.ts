// Facts about processes, read from Linux (`undefined` elsewhere), and a way to end started processes.

import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";

/** The ids of the workerds that this process has started. */
export async function ownWorkerds(): Promise<number[]> {
  const found: number[] = [];
  const names = await readdir("/proc").catch(() => []);
  for (const pid of names.filter((name) => /^\d+$/.test(name)).map(Number)) {
    const status = await statusOf(pid);
    if (status("Name") === "workerd" && status("PPid") === `${process.pid}`) found.push(pid);
  }
  return found;
}

/** The memory of a process: its current size, or its peak. */
export async function residentBytes(pid: number, field: "VmRSS" | "VmHWM" = "VmRSS"): Promise<number | undefined> {
  const kilobytes = (await statusOf(pid))(field);
  return kilobytes ? Number(kilobytes) * 1024 : undefined;
}

/**
 * The CPU time of all threads of a process, in ms. workerd's clocks cannot be trusted, and on a busy machine wall-clock time says
 * little.
 */
export async function cpuMilliseconds(pid: number): Promise<number | undefined> {
  const folder = `/proc/${pid}/task`;
  const threads = await readdir(folder).catch(() => []);
  if (threads.length === 0) return undefined;
  let nanoseconds = 0;
  for (const thread of threads) {
    // The thread may have ended since.
    const text = await readFile(`${folder}/${thread}/schedstat`, "utf8").catch(() => "0");
    nanoseconds += Number(text.split(" ", 1)[0]);
  }
  return nanoseconds / 1e6;
}

async function statusOf(pid: number): Promise<(field: string) => string> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return (field) => new RegExp(`^${field}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "";
}

/** Leaders of process groups that have not ended. */
const leaders = new Set<ChildProcess>();

function endLeaders(signal: NodeJS.Signals): void {
  for (const { pid } of leaders) process.kill(-pid!, "SIGTERM");
  process.kill(process.pid, signal);
}

/** Ends a process that leads its own group when this process ends. Such a process does not receive the signal that ends this one. */
export function endWithUs(leader: ChildProcess): void {
  if (leader.pid === undefined) return;
  if (leaders.size === 0) for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, endLeaders);
  leaders.add(leader);
  leader.once("exit", () => {
    leaders.delete(leader);
    if (leaders.size === 0) for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, endLeaders);
  });
}
