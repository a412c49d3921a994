// Bundles the compiled TypeScript into the files of the package: node scripts/bundle.mjs COMPILED OUT. Each target in
// package.json is one file. Modules that two targets share are in core.js, or in opik.js if they need `#host`, which itself
// imports core.js (docs/adr/0017-one-file-below-the-faces.md); the reader of model calls, which loads a second module, is in
// llm/reader.js. Names and comments stay, for people who read the files in a debugger.

import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { rollup } from "rollup";

const [compiled, out] = process.argv.slice(2).map((folder) => resolve(folder));
const { exports, imports, bin, version } = JSON.parse(await readFile("package.json", "utf8"));

/** The targets of package.json, by the names of the compiled files. */
const targets = [...leaves(exports), ...leaves(imports), ...leaves(bin)].flatMap(
  (path) => /^(?:\.\/)?pkg\/(.*)\.js$/.exec(path)?.[1] ?? [],
);
/** The examples at the end of a documentation comment. */
const EXAMPLE = /^ *\*\n *\* @example\n(?: *\*(?!\/).*\n)*(?= *\*\/)/gm;
/** The default module of `#host`, which core.js includes. */
const CORE = fileOf("browser/host-and-process");
const bundle = await rollup({
  input: Object.fromEntries(targets.map((name) => [name, name === "core" ? CORE : fileOf(name)])),
  external: /^#|\.wasm/,
  preserveEntrySignatures: "allow-extension",
  onLog(_, { message }) {
    throw new Error(message);
  },
});
await bundle.write({
  dir: out,
  format: "es",
  generatedCode: "es2015",
  minifyInternalExports: false,
  hoistTransitiveImports: false,
  onlyExplicitManualChunks: true,
  manualChunks: (id, { getModuleInfo }) => sharedFile(id, getModuleInfo),
  chunkFileNames: "[name].js",
  plugins: [
    {
      name: "text",
      renderChunk: (code) => ({
        // Editors show the examples of the declarations, so they are removed from the code. V8 stores a file that is not ASCII as
        // UTF-16 and reads it more slowly: 1 ms of an import.
        code: code
          .replace(EXAMPLE, "")
          .replace(/\bVERSION\b/g, JSON.stringify(version))
          .replace(/[^\0-\x7f]/g, escaped),
        map: null,
      }),
    },
  ],
});
for (const file of await declarations()) {
  const target = resolve(out, relative(compiled, file));
  await mkdir(dirname(target), { recursive: true });
  await copyFile(file, target);
}

/** The file for a module that two targets reach, or that is the default of `#host`. */
function sharedFile(id, getModuleInfo) {
  const isTarget = (module) => module.isEntry;
  const importers = reached(id, (module) => (isTarget(module) ? [] : module.importers)).filter(isTarget);
  if (id !== CORE && (isTarget(getModuleInfo(id)) || (importers.length < 2 && importers[0]?.id !== CORE)))
    return undefined;
  const imports = new Set(reached(id, (module) => module.importedIds).map((module) => module.id));
  if (imports.has("#llm-wasm")) return "llm/reader";
  return imports.has("#host") ? "opik" : "core";

  function reached(id, next) {
    const ids = new Set([id]);
    for (const each of ids) for (const other of next(getModuleInfo(each))) ids.add(other);
    return [...ids].map((each) => getModuleInfo(each));
  }
}

/** The declarations that users reach by the entries. */
async function declarations() {
  const files = new Set(
    leaves(exports)
      .flatMap((path) => /^\.\/pkg\/(.*\.d\.ts)$/.exec(path)?.[1] ?? [])
      .map((name) => resolve(compiled, name)),
  );
  for (const file of files) {
    const text = await readFile(file, "utf8");
    for (const [, path] of text.matchAll(/(?:from |import\()"(\.[^"]*)\.js"/g))
      files.add(resolve(dirname(file), `${path}.d.ts`));
  }
  return files;
}

function escaped(unit) {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function fileOf(name) {
  return resolve(compiled, `${name}.js`);
}

function leaves(value) {
  return typeof value === "string" ? [value] : Object.values(value).flatMap(leaves);
}
