// Compares a service in `wasmtime serve`: bare, behind a middleware that only passes requests on, behind opik-edge's, and within the
// three parts, with 1, 8 and 64 requests at a time. All run at once and in turns, so that they share the machine's moods. The backend is a component too.
//   scripts/component --apps && OPIK_EDGE_COMPONENT_TOOLS=… node --import tsx bench/component.ts [SECONDS]

import { Agent, request } from "node:http";
import { traced } from "../tests/component/compose.js";
import { BUILT, plug, type Served, serve } from "../tests/component/serve.js";

const SECONDS = Number(process.argv[2] ?? 2);
const ROUNDS = 3;
const CONCURRENT = [1, 8, 64];
/** The least share of the throughput behind a middleware that only passes on, at 8 requests at a time. */
const AIM = 0.6;

const app = `${BUILT}/apps/rust-service.wasm`;
const [passing, plugged, composed] = await Promise.all([
  plug(`${BUILT}/apps/pass-through.wasm`, app, "bench-passing.wasm"),
  plug(`${BUILT}/opik-http-middleware.wasm`, app, "bench-plugged.wasm"),
  traced(app, "bench-composed.wasm"),
]);
const sink = await serve(`${BUILT}/apps/sink.wasm`);
const contenders: [string, Served][] = [
  ["bare", await serve(app)],
  ["passed on", await serve(passing)],
  ["traced", await serve(plugged, { OPIK_URL_OVERRIDE: `${sink.url}/api` })],
  ["three parts", await serve(composed, { OPIK_URL_OVERRIDE: `${sink.url}/api` })],
];

interface Run {
  readonly p50: number;
  readonly perSecond: number;
}

/** Asks as often as `concurrent` callers can in `seconds`. */
async function run(url: string, concurrent: number, seconds: number): Promise<Run> {
  const agent = new Agent({ keepAlive: true, maxSockets: concurrent });
  const took: number[] = [];
  const began = performance.now();
  const caller = async (): Promise<void> => {
    while (performance.now() - began < seconds * 1000) {
      const start = performance.now();
      await ask(url, agent);
      took.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: concurrent }, caller));
  const elapsed = (performance.now() - began) / 1000;
  agent.destroy();
  took.sort((a, b) => a - b);
  return { p50: took[took.length >> 1] ?? 0, perSecond: took.length / elapsed };
}

function ask(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/status/200`, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}`));
      response.resume().on("end", resolve);
    });
    asked.on("error", reject).end();
  });
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

let kept = 0;
try {
  for (const [, { url }] of contenders) await run(url, 8, 1);
  console.log("| at a time | | p50, ms | a second | of passed on |\n|---|---|---|---|---|");
  for (const concurrent of CONCURRENT) {
    const runs = contenders.map((): Run[] => []);
    for (let round = 0; round < ROUNDS; round++)
      for (const [index, [, { url }]] of contenders.entries()) runs[index]!.push(await run(url, concurrent, SECONDS));
    const rates = runs.map((all) => median(all.map(({ perSecond }) => perSecond)));
    for (const [index, [name]] of contenders.entries()) {
      const p50 = median(runs[index]!.map((one) => one.p50)).toFixed(2);
      const share = Math.round((100 * rates[index]!) / rates[1]!);
      console.log(`| ${concurrent} | ${name} | ${p50} | ${Math.round(rates[index]!)} | ${share} % |`);
    }
    if (concurrent === 8) kept = rates[2]! / rates[1]!;
  }
} finally {
  for (const [, served] of contenders) await served.close();
  await sink.close();
}
if (kept < AIM) {
  console.error(`at 8 requests at a time ${Math.round(100 * kept)} % are kept; the aim is ${100 * AIM} %`);
  process.exitCode = 1;
}
