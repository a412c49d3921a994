#!/usr/bin/env node

// `npx opik-edge doctor [url] [--origin https://app.example.com]`: exits with 1 where there is a problem.

import { nearest } from "../names.js";
import { type Finding, ok } from "./finding.js";
import { type DoctorOptions, opikDoctor } from "./index.js";
import { projectVariables } from "./project.js";

const { process } = globalThis as unknown as {
  process: { argv: string[]; env: Record<string, string | undefined>; exitCode: number };
};

const USAGE = `opik-edge doctor [url] [--origin origin]

Looks at this runtime, at the Opik that the OPIK_* variables name, and at what becomes of
trace headers on the way to a URL. Variables that the environment does not have are taken
from .dev.vars and wrangler.jsonc (or .json, .toml) of this folder.

  url       a service that you call with trace headers, which answers with those it was
            sent: by echoHeaders of opik-edge/doctor, or with its request headers as JSON
  --origin  the origin of pages that call it: whether they may send trace headers`;

const SIGNS: Record<Finding["level"], string> = { ok: "ok  ", note: "note", problem: "FIX " };
const COMMANDS = ["doctor", "--help", "-h"];
const OPTIONS = ["--origin", "--help", "-h"];

async function main(args: string[]): Promise<void> {
  const options = args.length === 0 || args.some((arg) => arg === "--help" || arg === "-h") ? USAGE : parse(args);
  if (typeof options === "string") {
    console.log(options);
    process.exitCode = options === USAGE ? 0 : 2;
    return;
  }
  const { variables, files } = projectVariables();
  const env = Object.fromEntries(Object.entries(variables).filter(([name]) => !isSet(name)));
  const findings = await opikDoctor({ ...options, config: { env } });
  if (files.length > 0)
    findings.unshift(
      ok(
        "settings",
        `${Object.keys(env).join(", ") || "nothing that the environment has not"} from ${files.join(", ")}`,
      ),
    );
  for (const { check, level, found, fix } of findings) {
    console.log(`${SIGNS[level]} ${check.padEnd(8)} ${found}`);
    if (fix) console.log(`${" ".repeat(14)}→ ${fix}`);
  }
  process.exitCode = findings.some(({ level }) => level === "problem") ? 1 : 0;
}

/** Whether the environment has a variable: Deno may refuse to say. */
function isSet(name: string): boolean {
  try {
    return process.env[name] !== undefined;
  } catch {
    return false;
  }
}

/** What was asked for, or in words what is wrong with it. */
function parse([command = "", ...args]: string[]): DoctorOptions | string {
  if (command !== "doctor") return wrong(`${command} is no command`, command, COMMANDS);
  const urls: string[] = [];
  let origin: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const [name = "", given] = (args[at] ?? "").split(/=(.*)/s);
    if (name === "--origin") {
      if (given === undefined) at += 1;
      origin = given ?? args[at];
      if (!origin || origin.startsWith("-")) return wrong("--origin: expected the origin of pages");
    } else if (name.startsWith("-")) return wrong(`${name} is no option of the doctor`, name, OPTIONS);
    else urls.push(args[at] as string);
  }
  if (urls.length > 1) return wrong(`expected one URL, got ${urls.length}`);
  return { url: urls[0], origin };
}

function wrong(what: string, given = "", known: string[] = []): string {
  const near = nearest(given, known);
  return `${what}${near ? `: did you mean ${near}?` : ""}\n\n${USAGE}`;
}

await main(process.argv.slice(2));
