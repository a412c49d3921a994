// The contenders at work: each has a separate process, and waits while it is another's turn.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { cpuMilliseconds } from "../tests/support/processes.js";
import type { Answer, Command } from "./commands.js";
import type { Entry } from "./contenders.js";

/** A contender that runs. */
export interface Player {
  readonly entry: Entry;
  readonly pid: number;
  /** Does what it is asked. */
  ask(command: Command): Promise<Answer>;
  close(): Promise<void>;
}

/** Where contenders are started afresh: none of them has loaded anything. */
export interface Nursery {
  start(entry: Entry): Promise<Player>;
  close(): Promise<void>;
}

/** The duration of some work: on the wall, and in a process's CPU time. */
export interface Timed<T> {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly result: T;
}

/** Runs `run`, and looks how long the process has been at it. Where the system does not tell, the wall has to do. */
export async function timed<T>(pid: number, run: () => Promise<T>): Promise<Timed<T>> {
  const before = await cpuMilliseconds(pid);
  const begun = performance.now();
  const result = await run();
  const wallMs = performance.now() - begun;
  const after = await cpuMilliseconds(pid);
  return { wallMs, cpuMs: before === undefined || after === undefined ? wallMs : after - before, result };
}

/** Runs `play` with all of them started; they are ended whatever happens. */
export async function withPlayers<T>(
  entries: readonly Entry[],
  start: (entry: Entry) => Promise<Player>,
  play: (players: Player[]) => Promise<T>,
): Promise<T> {
  const players: Player[] = [];
  try {
    for (const entry of entries) players.push(await start(entry));
    return await play(players);
  } finally {
    for (const player of players) await player.close();
  }
}

/** Starts a program as `programOf` gives it, and waits until it reads commands. */
export async function startPlayer(entry: Entry, program: string, args: readonly string[]): Promise<Player> {
  const child: ChildProcess = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], env: environment() });
  const lines: Interface = createInterface({ input: child.stdout! });
  const exited = once(child, "exit");
  const gone = exited.then(([code]): never => {
    throw new Error(`${entry.name} ended with ${code}`);
  });
  gone.catch(() => {});
  const next = async (): Promise<string> => {
    const [line] = await Promise.race([once(lines, "line") as Promise<[string]>, gone]);
    return line;
  };
  await next();
  return {
    entry,
    pid: child.pid!,
    async ask(command) {
      const line = next();
      child.stdin!.write(`${JSON.stringify(command)}\n`);
      return JSON.parse(await line) as Answer;
    },
    async close() {
      child.stdin!.end();
      await exited;
    },
  };
}

/** Nothing of the developer's own configuration, and no telemetry. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(OPIK|LANG|OTEL)/.test(name));
  const quiet = { OPIK_SENTRY_ENABLE: "false", OPIK_ANALYTICS_ENABLE: "false", NODE_ENV: "production" };
  return { ...Object.fromEntries(own), ...quiet };
}
