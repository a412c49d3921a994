// Writes the README's tables of tested runtimes and tools, from the results of the tests in target/check/versions/. With
// --check it writes nothing, and fails if an entry has not run, has failed, or ran in another version. The versions of
// browsers may differ, because they come with the machine.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const FOLDER = "target/check/versions";
const README = "README.md";

/**
 * The rows of the first table. `records` selects the records of a row by the consumer's name, and maybe by the step.
 */
const RUNTIMES = [
  {
    name: "Cloudflare Workers",
    records: ({ consumer }) => /^workerd:|^wrangler/.test(consumer),
    versions: ({ consumer }) => consumer.startsWith("workerd:"),
    prefix: "workerd ",
    parents:
      "automatic with `nodejs_als` or `nodejs_compat` (on by default since 2026-08-04); otherwise you pass the parent span yourself",
  },
  {
    name: "Node",
    records: ({ consumer }) => /^Node\b/.test(consumer),
    parents: "automatic",
  },
  {
    name: "Deno",
    records: ({ consumer }) => /^Deno\b/.test(consumer),
    parents: "automatic (needs `--allow-net`, and `--allow-env` for `OPIK_*`)",
  },
  { name: "Bun", records: ({ consumer }) => /^Bun\b/.test(consumer), parents: "automatic" },
  {
    name: "Vercel's edge runtime",
    records: ({ consumer }) => /^next.*edge route/.test(consumer),
    prefix: "in Next ",
    parents: "automatic",
  },
  { name: "wasmtime", records: ({ consumer }) => consumer.startsWith("wasmtime"), parents: "automatic" },
  {
    name: "Chromium",
    records: ({ consumer }) => consumer === "Chromium",
    parents: "you pass the parent span yourself",
    isOfMachine: true,
  },
  {
    name: "Firefox",
    records: ({ consumer }) => consumer === "Firefox",
    parents: "you pass the parent span yourself",
    isOfMachine: true,
  },
  {
    name: "WebKitGTK",
    records: ({ consumer }) => consumer === "WebKit",
    parents: "you pass the parent span yourself",
    isOfMachine: true,
  },
];

/** The rows of the second table: for each kind, the names and the names of their consumers. */
const TOOLS = {
  frameworks: { Next: /^next/, Express: /^express/, Fastify: /^fastify/, Hono: /^hono/ },
  bundlers: { Vite: /^vite/, webpack: /^webpack/, Rollup: /^rollup/, esbuild: /^esbuild/, wrangler: /^wrangler/ },
  "Opik's own SDKs": { "Python `opik`": /^opik \(PyPI\)/, "TypeScript `opik`": /^opik \(npm\)/ },
  "SDKs of models": ofStepModels(
    "openai",
    "@anthropic-ai/sdk",
    "@google/genai",
    "@mistralai/mistralai",
    "groq-sdk",
    "ollama",
    "@openrouter/sdk",
    "@aws-sdk/client-bedrock-runtime",
    "ai",
    "workers-ai-provider",
    "ai-gateway-provider",
  ),
  OpenTelemetry: ofStepModels("@opentelemetry/sdk-trace-base", "@opentelemetry/sdk-node"),
  "Python servers": { gunicorn: /^gunicorn/, uvicorn: /^uvicorn/, Flask: /^Flask/i, FastAPI: /^fastapi/ },
  TypeScript: { TypeScript: /^typescript/ },
};

/** Packages whose versions the step `models` records. */
function ofStepModels(...names) {
  return Object.fromEntries(names.map((name) => [`\`${name}\``, new RegExp(`^${name} \\(SDK\\)`)]));
}

const all = (existsSync(FOLDER) ? readdirSync(FOLDER) : []).map((file) =>
  JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8")),
);
const problems = [];

/** The versions in which `records` ran, each once, without the parts that differ from machine to machine. */
function versionsOf(name, records) {
  if (records.length === 0) problems.push(`${name}: nothing has run`);
  for (const { step, consumer, passed } of records) if (!passed) problems.push(`${name}: ${consumer} failed (${step})`);
  const versions = records.map(({ version }) => version.split(".").slice(0, 2).join("."));
  return [...new Set(versions)].sort((a, b) => Number.parseFloat(a) - Number.parseFloat(b)).join(", ");
}

const runtimes = RUNTIMES.map(({ name, records, versions = () => true, prefix = "", parents, isOfMachine }) => {
  const own = all.filter(records);
  const steps = [...new Set(own.map(({ step }) => `\`${step}\``))].sort().join(", ");
  return { isOfMachine, cells: [name, prefix + versionsOf(name, own.filter(versions)), steps, parents] };
});
const tools = Object.entries(TOOLS).map(([kind, names]) => {
  const found = Object.entries(names).map(([name, pattern]) => {
    return `${name} ${versionsOf(
      name,
      all.filter(({ consumer }) => pattern.test(consumer)),
    )}`;
  });
  return { cells: [kind, found.join(", ")] };
});

const readme = readFileSync(README, "utf8");
let updated = readme;
put("runtimes", ["runtime", "version", "steps of `scripts/check`", "how spans find their parent"], runtimes);
put("tools", ["tried with", ""], tools);

/** Puts a table between its markers. */
function put(name, head, rows) {
  const [, begin, table] = new RegExp(`(<!-- table: ${name} -->\n)(.*?)<!-- end -->`, "s").exec(readme);
  const before = table.trimEnd().split("\n");
  const lines = [head, head.map(() => "---"), ...rows.map(({ cells }) => cells)].map(
    (cells) => `| ${cells.join(" | ")} |`,
  );
  for (const [index, line] of lines.entries()) {
    const old = before[index] ?? "";
    // Programs of the machine have no pinned version: the table shows the version that ran.
    const comparable = (text) => (rows[index - 2]?.isOfMachine ? text.replace(/^(\| [^|]+ \| )[^|]+/, "$1") : text);
    if (comparable(old) !== comparable(line)) problems.push(`${README} says ${old || "nothing"}\n  but it is  ${line}`);
  }
  if (before.length > lines.length) problems.push(`${README} has more in the table of ${name} than there is`);
  updated = updated.replace(begin + table, `${begin}${lines.join("\n")}\n`);
}

const notRun = problems.filter((problem) => !problem.startsWith(README));
if (process.argv.includes("--check")) {
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) console.error("run scripts/check, and then scripts/docs");
  process.exitCode = problems.length > 0 ? 1 : 0;
} else if (notRun.length === 0) {
  writeFileSync(README, updated);
} else {
  console.error(`the README's tables stay as they are, until scripts/check has run:\n${notRun.join("\n")}`);
}
