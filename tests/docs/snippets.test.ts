// The examples in the README, the guides and the API reference compile for anybody who copies them, and a test runs each
// example with the mark `runs`. Blocks of TypeScript, JavaScript and HTML are written to target/docs/, each at its line in
// the document. They are compiled against the package in pkg/, with the types of the platform that a comment above names
// (`<!-- types: worker -->`). The files of one program (`<!-- runs: NAME PATH -->`) import each other.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import { apiExamples, type Fence, fencesOf, guides } from "../support/markdown.js";
import { ROOT } from "../support/worker.js";

const FOLDER = join(ROOT, "target/docs");

const DOM = ["es2023", "esnext.disposable", "dom", "dom.iterable"];

/** Each platform's examples may use these types, and the names of given/. */
const PLATFORMS: Record<string, object> = {
  node: { types: ["node"] },
  page: { types: [], lib: DOM, jsx: "react-jsx" },
  next: { types: ["node"], lib: DOM, jsx: "react-jsx" },
  worker: { types: ["@cloudflare/workers-types"] },
};

const OPTIONS = {
  target: "es2022",
  lib: ["es2023", "esnext.disposable"],
  module: "esnext",
  moduleResolution: "bundler",
  // Each block is its own module.
  moduleDetection: "force",
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  noEmit: true,
  skipLibCheck: true,
};

/** The files of a block: itself, or the scripts in it. */
function sources({ language, code, line }: Fence): { extension: string; code: string; line: number }[] {
  if (["ts", "tsx", "js"].includes(language)) return [{ extension: language, code, line }];
  if (language !== "html") return [];
  return [...code.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)]
    .filter(([, script]) => script?.trim())
    .map(({ 0: element, 1: script, index }) => {
      const start = index + element.indexOf(">") + 1;
      return { extension: "js", code: script as string, line: line + code.slice(0, start).split("\n").length - 1 };
    });
}

const platformOf = ({ file, language, notes }: Fence): string =>
  notes.get("types") ?? (language === "html" ? "page" : file === "docs/api/cloudflare.md" ? "worker" : "node");

/** Compiles everything for a platform; returns the compiler's messages, each with its place in the document. */
async function compile(platform: string, settings: object): Promise<string[]> {
  const folder = join(FOLDER, platform);
  const project = (file: string, options: object, include: string[]) =>
    writeFile(
      join(folder, file),
      JSON.stringify({ compilerOptions: { ...OPTIONS, ...settings, ...options }, include }),
    );
  const given = `../../../tests/docs/given/${platform}.d.ts`;
  await project("tsconfig.json", {}, [given, "**/*.ts", "**/*.tsx"]);
  // JavaScript has no annotations, so parameters may be `any`.
  await project("tsconfig.js.json", { allowJs: true, checkJs: true, noImplicitAny: false }, [given, "**/*.js"]);
  const said: string[] = [];
  for (const file of ["tsconfig.json", "tsconfig.js.json"]) {
    const output = await new Promise<string>((resolve) => {
      const args = [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", file, "--pretty", "false"];
      execFile(process.execPath, args, { cwd: folder }, (_error, stdout, stderr) => resolve(stdout + stderr));
    });
    said.push(...output.split("\n").filter((line) => line && !line.includes("error TS18003"))); // nothing to compile
  }
  return said.map((line) => line.replace(/^(.+?\.md)\/.+?\((\d+),(\d+)\)/, "$1:$2:$3"));
}

const fences = new Map(await Promise.all((await guides()).map(async (file) => [file, await fencesOf(file)] as const)));
for (const example of await apiExamples()) fences.set(example.file, [...(fences.get(example.file) ?? []), example]);
const files = [...fences.keys()];

describe("the examples compile", () => {
  const complaints: string[] = [];
  before(async () => {
    await rm(FOLDER, { recursive: true, force: true });
    for (const platform of Object.keys(PLATFORMS)) await mkdir(join(FOLDER, platform), { recursive: true });
    for (const [file, blocks] of fences) {
      for (const block of blocks) {
        for (const { extension, code, line } of sources(block)) {
          const [, path = `L${line}.${extension}`] = block.notes.get("runs")?.split(" ") ?? [];
          const target = join(FOLDER, platformOf(block), file, path);
          await mkdir(dirname(target), { recursive: true });
          await writeFile(target, `${"\n".repeat(line - 1)}${code}\n`);
        }
      }
    }
    const said = await Promise.all(Object.entries(PLATFORMS).map(([name, settings]) => compile(name, settings)));
    complaints.push(...said.flat());
  });

  for (const [file, blocks] of fences) {
    const count = blocks.flatMap(sources).length;
    if (count === 0) continue;
    test(`${file}: ${count}`, () => {
      for (const block of blocks) assert.ok(platformOf(block) in PLATFORMS, `${file}:${block.line}: its platform`);
      const own = complaints.filter((line) => line.startsWith(`${file}:`));
      assert.equal(own.length, 0, `\n${own.join("\n")}`);
    });
  }

  test("and the compiler has no other message", () => {
    const others = complaints.filter((line) => !files.some((file) => line.startsWith(`${file}:`)));
    assert.deepEqual(others, []);
  });
});

/** Languages of programs. */
const PROGRAMS = ["ts", "tsx", "js", "html", "py"];

test("every example runs, or says why it is only compiled", () => {
  const silent = [...fences.values()].flat().filter(({ file, language, notes }) => {
    const isApi = file.startsWith("docs/api/"); // api-examples.test.ts runs all of them
    return PROGRAMS.includes(language) && !isApi && !notes.has("runs") && !notes.has("compiled");
  });
  assert.deepEqual(
    silent.map(({ file, line }) => `${file}:${line}`),
    [],
  );
});

test("every example with the mark `runs` is run by a test", async () => {
  const names = [...fences.values()].flat().flatMap(({ notes }) => notes.get("runs")?.split(" ", 1) ?? []);
  assert.ok(names.length > 5, String(names));
  const tests = (await readdir(join(ROOT, "tests"), { recursive: true })).filter((name) => name.endsWith(".test.ts"));
  const code = (await Promise.all(tests.map((name) => readFile(join(ROOT, "tests", name), "utf8")))).join("\n");
  for (const name of names) assert.ok(code.includes(`("${name}"`), `${name} is run by no test`);
});
