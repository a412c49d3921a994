#!/usr/bin/env node

// `npx opik-edge doctor [url] [--origin https://app.example.com]`: exits with 1 if it finds a problem. `npx opik-edge dev`
// starts the viewer.

import { nearest } from "../names.js";
import { dev } from "./dev.js";
import { type Finding, ok } from "./finding.js";
import { type DoctorOptions, opikDoctor } from "./index.js";
import { projectVariables } from "./project.js";

const { process } = globalThis as unknown as {
  process: { argv: string[]; env: Record<string, string | undefined>; exitCode: number };
};

const USAGE = `opik-edge doctor [url] [--origin origin]

Checks this runtime, the Opik that the OPIK_* variables name, and the way of trace headers
to a URL. Variables that are missing in the environment are taken from .dev.vars and
wrangler.jsonc (or .json, .toml) of this folder.

  url       A service that you call with trace headers. It answers with echoHeaders of
            opik-edge/doctor, or with its request headers as JSON.
  --origin  The origin of pages that call it. Checks if they may send trace headers.

opik-edge dev [options]

Shows traces in a browser, on this machine. It starts opik-edge-viewer, which prints its
options with --help.`;

const SIGNS: Record<Finding["level"], string> = { ok: "ok  ", note: "note", problem: "FIX " };
const COMMANDS = ["dev", "doctor", "--help", "-h"];
const OPTIONS = ["--origin", "--help", "-h"];

async function main(args: string[]): Promise<void> {
  if (args[0] === "dev") return dev();
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

/** `true` if the environment has the variable. Deno may refuse access to it. */
function isSet(name: string): boolean {
  try {
    return process.env[name] !== undefined;
  } catch {
    return false;
  }
}

/** The options in the arguments, or an error message. */
function parse([command = "", ...args]: string[]): DoctorOptions | string {
  if (command !== "doctor") return wrong(`${command} is not a command`, command, COMMANDS);
  const urls: string[] = [];
  let origin: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const [name = "", given] = (args[at] ?? "").split(/=(.*)/s);
    if (name === "--origin") {
      if (given === undefined) at += 1;
      origin = given ?? args[at];
      if (!origin || origin.startsWith("-")) return wrong("--origin: expected the origin of pages");
    } else if (name.startsWith("-")) return wrong(`${name} is not an option of the doctor`, name, OPTIONS);
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
