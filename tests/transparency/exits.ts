// Programs that are compared by their exit code and output. `execute` of runtimes.ts runs each in a separate process,
// with the program's name in its last argument.

import process from "node:process";
import { TracedCalls } from "./entries.js";

/** Input of the program. */
export interface ExitConfig {
  readonly program: string;
  readonly entry: string;
  readonly isTraced: boolean;
  /** The case's URL, ending in a slash, and a URL without a listener. */
  readonly url: string;
  readonly refused: string;
}

type Call = (...args: unknown[]) => Promise<Response>;
type Program = (call: Call, config: ExitConfig) => unknown;

const say = (...words: unknown[]): void => console.log(...words);
const later = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 10));

/** The programs by name. */
export const EXITS: Record<string, Program> = {
  "nobody handles a rejection": (call, { refused }) => void call(refused),
  "nobody handles wrong arguments": (call) => void call("http://"),
  "a rejection is handled a moment later": async (call, { refused }) => {
    const called = call(refused);
    await later();
    await later();
    called.catch((error) => say("handled", (error as Error).name));
  },
  "a rejection is handled at once": (call, { refused }) => call(refused).catch(() => say("handled")),
  "a listener hears of a rejection": async (call, { refused }) => {
    process.on("unhandledRejection", (reason) => say("unhandled", (reason as Error).constructor.name));
    void call(refused);
    await later();
  },
  "a rejection is thrown on": async (call, { refused }) => {
    await call(refused);
  },
  "a derived promise is not handled": async (call, { url }) => {
    void call(`${url}text`).then(() => {
      throw new RangeError("the host's own");
    });
  },
  "a body is not read": async (call, { url }) => say((await call(`${url}text`)).status),
  "a broken body is not read": async (call, { url }) => say((await call(`${url}chunked, cut short`)).status),
  "a body is left in the middle": async (call, { url }) => {
    const reader = (await call(`${url}large`)).body!.getReader();
    say((await reader.read()).done);
    await reader.cancel();
  },
  "an aborted call is not handled": (call, { url }) => {
    const controller = new AbortController();
    void call(`${url}text`, { signal: controller.signal });
    controller.abort();
  },
  "a call with an aborted signal is not handled": (call, { url }) =>
    void call(`${url}text`, { signal: AbortSignal.abort(new RangeError("the host's reason")) }),
  "a body of which a clone fails": async (call, { url }) => {
    const response = await call(`${url}cut short`);
    const clone = response.clone();
    await response.text().catch(() => say("failed"));
    await clone.text().catch(() => say("failed too"));
  },
  "many calls with one signal": async (call, { url }) => {
    const { signal } = new AbortController();
    for (let made = 0; made < 30; made += 1) await (await call(`${url}text`, { signal })).text();
    say("done");
  },
  "an exit in the middle": async (call, { url }) => {
    const response = await call(`${url}large`);
    say(response.status);
    process.exit(3);
  },
};

const config: ExitConfig = JSON.parse(process.argv.at(-1)!);
const tracing = new TracedCalls();
const plain = (...args: unknown[]): unknown => (fetch as (...all: unknown[]) => unknown)(...args);
const traced = (...args: unknown[]): unknown => tracing.call(config.entry, "everywhere")(args);
await EXITS[config.program]!((config.isTraced ? traced : plain) as Call, config);
