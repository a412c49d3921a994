// The OPIK_* variables of a Worker's project, as its own tools read them: `.dev.vars`, and `vars` of wrangler's configuration. Nothing
// but these names is looked at.

import { builtin } from "../platform/env.js";

/** Variables by their names, and the files that they are from. */
export interface ProjectVariables {
  readonly variables: Record<string, string>;
  readonly files: readonly string[];
}

/** Each file of a project with what reads it; what comes first counts. Of wrangler's files one is used. */
const READERS: readonly (readonly [file: string, read: (text: string) => Record<string, unknown>])[] = [
  [".dev.vars", (text) => assignments(text)],
  ["wrangler.json", (text) => varsOf(text)],
  ["wrangler.jsonc", (text) => varsOf(text)],
  ["wrangler.toml", (text) => assignments(tomlVars(text))],
];

/** The variables of the project in `folder`, by default the one that the process was started in. */
export function projectVariables(folder = "."): ProjectVariables {
  const variables: Record<string, string> = {};
  const files: string[] = [];
  const fs = builtin<{ readFileSync(path: string, encoding: string): string }>("node:fs");
  for (const [file, read] of READERS) {
    try {
      const found = Object.entries(read(fs?.readFileSync(`${folder}/${file}`, "utf8") ?? ""));
      const ours = found.filter(([name, value]) => /^OPIK_\w+$/.test(name) && typeof value === "string");
      if (ours.length > 0) files.push(file);
      for (const [name, value] of ours) variables[name] ??= value as string;
    } catch {
      // It is not there, may not be read, or is not what its name says: its own tool tells that.
    }
  }
  return { variables, files };
}

/** `NAME=value` in lines, as in `.dev.vars` and in a table of TOML. */
function assignments(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const line = /^\s*(?:export\s+)?"?(\w+)"?\s*[=:]\s*(?:"((?:\\.|[^"\\])*)"|'([^']*)'|([^#\n]*?))\s*(?:#.*)?$/gm;
  for (const [, name = "", double, single, bare] of text.matchAll(line)) {
    found[name] = double?.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char)) ?? single ?? bare ?? "";
  }
  return found;
}

/** The lines of `[vars]`, or of `vars = { … }`. */
function tomlVars(text: string): string {
  const [, table = ""] = /^\s*\[vars\]\s*(?:#.*)?$((?:\r?\n(?!\s*\[).*)*)/m.exec(text) ?? [];
  const [, inline = ""] = /^\s*vars\s*=\s*\{(.*)\}/m.exec(text) ?? [];
  return table + inline.replace(/,(?=\s*"?\w+"?\s*=)/g, "\n");
}

/** `vars` of a JSON text with comments and trailing commas. */
function varsOf(text: string): Record<string, unknown> {
  const strings = /"(?:\\.|[^"\\])*"/.source;
  const keepStrings = (part: string): string => (part.startsWith('"') ? part : "");
  const json = text
    .replace(RegExp(`${strings}|//.*|/\\*[^]*?\\*/`, "g"), keepStrings)
    .replace(RegExp(`${strings}|,(?=\\s*[}\\]])`, "g"), keepStrings);
  return (JSON.parse(json) as { readonly vars?: Record<string, unknown> }).vars ?? {};
}
