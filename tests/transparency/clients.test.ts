// Real clients against servers that speak their providers' formats. A host sees the same with tracing as without, and the
// recorded spans are correct.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { LONG } from "../support/long.js";
import { freePort } from "../support/ports.js";
import { PROGRAMS } from "../support/programs.js";
import type { Job } from "./clients/case.js";
import { differences, misrecorded, otherEnds, runClient } from "./clients/running.js";
import { type Providers, startProviders } from "./clients/server.js";

const WORKERD = "workerd, nodejs_compat";
/**
 * Runtimes per client. A runtime is left out if the client's target is missing there, `engines` excludes it, or the
 * client does not depend on it.
 */
const EVERYWHERE = [/^Node/, /^Deno$/, /^Bun$/, /^workerd/];
const NODE = [/^Node/];
const NODE_22 = [/^Node (?!20)/];
const CLIENTS: Record<string, readonly RegExp[]> = {
  openai: [...NODE_22, ...EVERYWHERE.slice(1)],
  "openai-6": NODE,
  anthropic: EVERYWHERE,
  google: NODE_22,
  mistral: NODE,
  groq: NODE,
  ollama: NODE,
  ai: [...NODE_22, ...EVERYWHERE.slice(1)],
  ky: [...NODE_22, ...EVERYWHERE.slice(1)],
  ofetch: NODE,
  supabase: [...NODE_22, /^workerd/],
  knex: NODE,
  drizzle: NODE,
  prisma: NODE_22,
  "node-streams": NODE,
};

let providers: Providers;
let collector: Collector;
let nowhere: string;
before(async () => {
  providers = await startProviders();
  collector = await startCollector();
  nowhere = `http://127.0.0.1:${await freePort()}`;
});
after(() => closeAll(providers, collector));

/** Problems of a client in a runtime, one line each. */
async function wrongIn(client: string, runtime: string, name: string, part: number | undefined): Promise<string[]> {
  const job: Job = { client: name, url: providers.url, nowhere, collector: collector.url, part };
  const ended = await runClient(client, runtime, job);
  return [
    ...(await differences(job, ended, providers)),
    ...misrecorded(job, ended, providers, collector),
    ...(runtime.startsWith("Node") ? await otherEnds(client, runtime, job, ended) : []),
  ];
}

/** The case and the mode of a problem. */
const whereOf = (line: string): string => line.split(":", 1)[0]!;

/**
 * Runtimes that run every case in every mode. The others run a share, different for each; with `scripts/check --long` all run
 * everything.
 */
const WHOLE_IN = ["Node 24", WORKERD];

describe("clients, plain and traced", { concurrency: 3 }, () => {
  for (const [client, places] of Object.entries(CLIENTS)) {
    for (const [at, runtime] of [...Object.keys(PROGRAMS), WORKERD].entries()) {
      if (!places.some((place) => place.test(runtime))) continue;
      test(`${client} in ${runtime}`, async () => {
        const name = `${client}-${runtime.replaceAll(/\W+/g, "")}`;
        const part = LONG || WHOLE_IN.includes(runtime) ? undefined : at;
        const found = await wrongIn(client, runtime, name, part);
        // Platforms are not fully deterministic, so a problem counts only if it occurs twice.
        const again = found.length > 0 ? (await wrongIn(client, runtime, `${name}-again`, part)).map(whereOf) : [];
        const wrong = found.filter((line) => again.includes(whereOf(line)));
        assert.ok(wrong.length === 0, `${wrong.length} differences:\n${wrong.join("\n")}`);
      });
    }
  }
});
