// Instructions, counted by callgrind: figures that repeat on a busy machine, and on another CPU. The C library, V8 and
// simdutf choose code by the CPU, so these choices are pinned.

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");

/** The oldest of what each of them may use, so that a newer CPU makes no difference. */
const PLAIN_CPU = {
  // The second is otherwise a share of the CPU's cache.
  GLIBC_TUNABLES: [
    "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX2_Usable,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM",
    "glibc.cpu.x86_non_temporal_threshold=0x4000000",
  ].join(":"),
  SIMDUTF_FORCE_IMPLEMENTATION: "fallback",
  OPENSSL_ia32cap: "0:0",
};
const NODE_FLAGS = [
  // The same steps every time: no other threads, no chance.
  ..."--predictable --single-threaded --hash-seed=1 --random-seed=1".split(" "),
  // One compiler, from the beginning. Optimisation differs with every line of code: it took 3000 requests to settle,
  // and from 1000 to 2000 a request had half as many instructions again.
  ..."--no-opt --no-maglev --always-sparkplug --no-liftoff".split(" "),
  // Otherwise a share of the machine's memory.
  ..."--min-semi-space-size=16 --max-semi-space-size=16 --max-old-space-size=1024".split(" "),
  ..."--no-enable-avx --no-enable-avx2 --no-enable-fma3 --no-enable-bmi1 --no-enable-bmi2".split(" "),
  ..."--no-enable-lzcnt --no-enable-popcnt --no-enable-sse4-1 --no-enable-sse4-2".split(" "),
];

/** The parts of the core: see src/main.rs. For each, the number of repetitions. */
export const CORE_PARTS: Readonly<Record<string, number>> = {
  headers: 1000,
  edge: 100,
  many: 2,
  cut: 5,
  verdict: 1000,
};

/** Instructions of one round of `part` in the core, as native code. */
export async function countCore(part: string): Promise<number> {
  const program = join(ROOT, "target/instructions/release/opik-edge-instructions");
  const times = CORE_PARTS[part]!;
  // Both runs contain the cost of the process itself.
  const once = await instructions([program, part, `${times}`]);
  const twice = await instructions([program, part, `${2 * times}`]);
  return Math.round((twice - once) / times);
}

/** Requests until everything is loaded and compiled, and those that are counted. */
const WARM_UP = 300;
const COUNTED = 600;

/** Instructions of a program in Node, which reads `input`. */
export function countProgram(program: string, input = ""): Promise<number> {
  return instructions([process.execPath, ...NODE_FLAGS, program], input);
}

/** Instructions of one edge request in Node, by a program as `programOf` gives it. */
export async function countRequest(program: readonly string[]): Promise<number> {
  const count = (requests: number): Promise<number> =>
    instructions(
      [process.execPath, ...NODE_FLAGS, ...program],
      `${JSON.stringify({ run: requests, shape: "edge" })}\n`,
    );
  const [before, after] = await Promise.all([count(WARM_UP), count(WARM_UP + COUNTED)]);
  return Math.round((after - before) / COUNTED);
}

async function instructions(command: readonly string[], input = ""): Promise<number> {
  const options = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--smc-check=all-non-file"];
  const running = run("valgrind", [...options, ...command], { env: { ...PLAIN_CPU, PATH: process.env["PATH"] } });
  running.child.stdin!.end(input);
  const { stderr } = await running;
  const collected = /Collected : (\d+)/.exec(stderr)?.[1];
  if (collected === undefined) throw new Error(`callgrind counted nothing: ${stderr}`);
  return Number(collected);
}
