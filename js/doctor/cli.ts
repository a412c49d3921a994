#!/usr/bin/env node

// `npx opik-edge doctor [url] [--origin https://app.example.com]`: exits with 1 where there is a problem.

import type { Finding } from "./finding.js";
import { type DoctorOptions, opikDoctor } from "./index.js";

const { process } = globalThis as unknown as { process: { argv: string[]; exitCode: number } };

const USAGE = `opik-edge doctor [url] [--origin origin]

Looks at this runtime, at the Opik that the OPIK_* variables name, and at what becomes of
trace headers on the way to a URL.

  url       a service that you call with trace headers, which answers with those it was
            sent: by echoHeaders of opik-edge/doctor, or with its request headers as JSON
  --origin  the origin of pages that call it: whether they may send trace headers`;

const SIGNS: Record<Finding["level"], string> = { ok: "ok  ", note: "note", problem: "FIX " };

async function main([command, ...rest]: string[]): Promise<void> {
  const options = command === "doctor" ? parse(rest) : undefined;
  if (!options) {
    console.log(USAGE);
    process.exitCode = command === undefined || command === "--help" ? 0 : 2;
    return;
  }
  const findings = await opikDoctor(options);
  for (const { check, level, found, fix } of findings) {
    console.log(`${SIGNS[level]} ${check.padEnd(8)} ${found}`);
    if (fix) console.log(`${" ".repeat(14)}→ ${fix}`);
  }
  process.exitCode = findings.some(({ level }) => level === "problem") ? 1 : 0;
}

function parse(args: string[]): DoctorOptions | undefined {
  const rest = [...args];
  const at = rest.indexOf("--origin");
  const [, origin] = at < 0 ? [] : rest.splice(at, 2);
  if ((at >= 0 && !origin) || rest.length > 1 || rest[0]?.startsWith("-")) return undefined;
  return { url: rest[0], origin };
}

await main(process.argv.slice(2));
