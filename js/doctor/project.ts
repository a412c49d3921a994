// Reads the OPIK_* variables of a Worker's project as its own tools do: from `.dev.vars`, and from `vars` in wrangler's
// configuration. Other variables are ignored.

import { builtin } from "../platform/env.js";

/** Variables by name, and the files that they come from. */
export interface ProjectVariables {
  readonly variables: Record<string, string>;
  readonly files: readonly string[];
}

/** The files of a project and their readers. Earlier files win. A project has only one of wrangler's files. */
const READERS: readonly (readonly [file: string, read: (text: string) => Record<string, unknown>])[] = [
  [".dev.vars", (text) => assignments(linesOf(text))],
  ["wrangler.json", (text) => varsOf(text)],
  ["wrangler.jsonc", (text) => varsOf(text)],
  ["wrangler.toml", (text) => assignments(tomlVars(linesOf(text)))],
];

/** The variables of the project in `folder`, by default the working directory. */
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
      // The file is missing, unreadable or malformed. Its own tool reports that.
    }
  }
  return { variables, files };
}

/** Lines without the blanks at both ends. */
const linesOf = (text: string): string[] => text.split("\n").map((line) => line.trim());

/** `NAME=value` in lines, as in `.dev.vars` and in a table of TOML. */
function assignments(lines: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value = ""] = /^(?:export +)?"?(\w+)"?[\t ]*[=:](.*)/.exec(line) ?? [];
    if (name !== undefined) found[name] = readValue(value.trim());
  }
  return found;
}

/** A value without its quotes and the comment behind it. */
function readValue(text: string): string {
  const [, double] = /^"((?:[^"\\]|\\.)*)"/.exec(text) ?? [];
  if (double !== undefined) return double.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
  const end = text.startsWith("'") ? text.indexOf("'", 1) : -1;
  return end > 0 ? text.slice(1, end) : (text.split("#")[0] as string).trim();
}

/** The lines of `[vars]`, or of `vars = { … }`. */
function tomlVars(lines: readonly string[]): string[] {
  const at = lines.findIndex((line) => line.startsWith("[vars]")) + 1;
  const behind = lines.slice(at);
  const end = behind.findIndex((line) => line.startsWith("["));
  const table = at > 0 ? behind.slice(0, end < 0 ? undefined : end) : [];
  const inline = lines.find((line) => /^vars *= *\{/.test(line)) ?? "";
  const members = inline.slice(inline.indexOf("{") + 1, inline.lastIndexOf("}"));
  return [...table, ...members.split(/,(?= *"?\w+"? *=)/).map((member) => member.trim())];
}

/** A string of JSON, a comment, or the text between. Unclosed ones go on to the end. */
const TOKENS = /"(?:[^"\\]|\\.)*"?|\/\/.*|\/\*(?:.|\n)*?(?:\*\/|$)|[^"/]+|\//g;

/** `vars` of a JSON text with comments and trailing commas. */
function varsOf(text: string): Record<string, unknown> {
  const tokens = (text.match(TOKENS) ?? []).filter((token) => !/^\/[/*]/.test(token));
  const json = tokens.map((token, at) => {
    if (token.startsWith('"')) return token;
    const next = tokens[at + 1] ?? "";
    // A comment may stand between the comma and the bracket.
    const isLast = token.trimEnd().endsWith(",") && /^\s*[}\]]/.test(next);
    return (isLast ? token.trimEnd().slice(0, -1) : token).replace(/,(?=\s*[}\]])/g, "");
  });
  return (JSON.parse(json.join("")) as { readonly vars?: Record<string, unknown> }).vars ?? {};
}
