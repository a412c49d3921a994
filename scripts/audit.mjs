// Asks the registries about the packages that build and test this package: `npm audit` for the lock files, `cargo deny`
// for the crates. A finding fails. A check that cannot run, without a network or without the tool, is named and does
// not fail.

import { spawnSync } from "node:child_process";

/**
 * Lock files of packages that build, test or show this package. Those under tests/ that pin others' old versions are left
 * out.
 */
const FOLDERS = [".", "tests/nodes"];
/** Findings in development tools fail from this level on. The package itself has no dependencies. */
const LEVEL = "high";
/** Messages of cargo-deny when it cannot get the list of advisories. */
const UNREACHABLE =
  /failed to (fetch|clone|open|update|acquire|load) .*(advisor|db|database)|unable to (fetch|connect)|network/i;

let failed = false;

for (const folder of FOLDERS) {
  const args = ["audit", "--json", `--audit-level=${LEVEL}`, "--package-lock-only", "--fetch-retries=0"];
  const { stdout, status } = run("npm", [...args, ...process.argv.slice(2)], folder);
  const { vulnerabilities, message, error } = parse(stdout);
  if (!vulnerabilities) {
    say(`npm audit, ${folder}: not asked: ${message ?? error?.summary ?? "no answer"}`);
    continue;
  }
  for (const { name, severity, range } of Object.values(vulnerabilities)) say(`  ${severity}: ${name} ${range}`);
  say(`npm audit, ${folder}: ${status === 0 ? "nothing" : "findings"} of level ${LEVEL} or above`);
  if (status !== 0) failed = true;
}

if (run("cargo", ["deny", "--version"]).status !== 0) {
  say("cargo deny: not asked: cargo-deny is not installed");
} else {
  for (const check of ["licenses", "bans", "sources", "advisories"]) {
    const { status, stdout, stderr } = run("cargo", ["deny", "--color", "never", "check", check]);
    const isAway = check === "advisories" && status !== 0 && UNREACHABLE.test(stderr);
    say(
      `cargo deny, ${check}: ${isAway ? "not asked: the database cannot be reached" : status === 0 ? "nothing" : "findings"}`,
    );
    if (status === 0 || isAway) continue;
    say(stdout + stderr);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;

function run(program, args, cwd = ".") {
  const { stdout = "", stderr = "", status } = spawnSync(program, args, { cwd, encoding: "utf8", timeout: 120_000 });
  return { stdout, stderr, status };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function say(line) {
  console.log(line);
}
