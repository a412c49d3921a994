// The repository's documents: their code blocks, headings and links.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./worker.js";

/**
 * A code block with the comments above it: `<!-- types: page -->`, `<!-- runs: NAME -->` (with a path behind the name if the
 * example is a program of several files), or `<!-- compiled: WHY -->` for an example that is not run.
 */
export interface Fence {
  /** Path from the root of the repository. */
  readonly file: string;
  /** Number of its first line, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  /** Comments above it, by name. */
  readonly notes: ReadonlyMap<string, string>;
}

/** The Markdown files whose examples are checked. */
export async function guides(): Promise<string[]> {
  return (await documents()).filter((file) => /^(README|docs\/guides\/[^/]+|examples\/[^/]+\/README)\.md$/.test(file));
}

/** Every Markdown file, as a path from the root of the repository. */
export async function documents(): Promise<string[]> {
  const skipped = new Set(["node_modules", "target", ".git", ".wrangler", "dist"]);
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(ROOT, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !skipped.has(entry.name)) await walk(path);
      else if (entry.isFile() && entry.name.endsWith(".md")) found.push(path);
    }
  };
  await walk("");
  return found.sort();
}

/** The code blocks of a Markdown file. */
export async function fencesOf(file: string): Promise<Fence[]> {
  const fences: Fence[] = [];
  let notes = new Map<string, string>();
  let open: { line: number; language: string; end: string; code: string[] } | undefined;
  for (const [index, text] of (await readFile(join(ROOT, file), "utf8")).split("\n").entries()) {
    if (open) {
      if (text.trim() !== open.end) {
        open.code.push(text);
        continue;
      }
      fences.push({ file, line: open.line, language: open.language, code: open.code.join("\n"), notes });
      [open, notes] = [undefined, new Map()];
      continue;
    }
    const [, end, language = ""] = /^\s*(`{3,})(\w*)/.exec(text) ?? [];
    const [, name, value] = /^<!-- (\w+): (.*?) -->$/.exec(text) ?? [];
    if (end) open = { line: index + 2, language, end, code: [] };
    else if (name) notes.set(name, value as string);
    else notes = new Map();
  }
  return fences;
}

/** The example of a function or a class in the API reference. */
export interface ApiExample extends Fence {
  /** The entry, and the name that it exports: `opik-edge/relay mintToken`. */
  readonly name: string;
}

/** The examples of the API reference, a page for each entry: the `@example` of each function and class. */
export async function apiExamples(): Promise<ApiExample[]> {
  const pages = (await documents()).filter((file) => /^docs\/api\/[a-z-]+\.md$/.test(file));
  const all = pages.map(async (file) => {
    const entry = file.includes("opik-edge")
      ? "opik-edge"
      : `opik-edge/${file.slice("docs/api/".length, -".md".length)}`;
    const headings = (await prose(file)).map((text) => /^#+ (.*?)(?:\(\))?$/.exec(text));
    const last = (line: number, isWanted: (heading: string) => boolean) =>
      headings.slice(0, line - 1).findLast((heading) => heading && isWanted(heading[0]))?.[1];
    return (await fencesOf(file))
      .filter(({ line }) => last(line, () => true) === "Example")
      .map((fence) => ({ ...fence, name: `${entry} ${last(fence.line, (heading) => heading.startsWith("### "))}` }));
  });
  return (await Promise.all(all)).flat();
}

/** A link to something in the repository. */
export interface Link {
  readonly line: number;
  /** As written: a path from the document's folder, an anchor, or both. */
  readonly target: string;
}

/** The lines of a Markdown file; lines inside code blocks are replaced by empty ones. */
async function prose(file: string): Promise<string[]> {
  const lines = (await readFile(join(ROOT, file), "utf8")).split("\n");
  let end: string | undefined;
  return lines.map((text) => {
    const [, fence] = /^\s*(`{3,})/.exec(text) ?? [];
    const isCode = end !== undefined || fence !== undefined;
    if (end === undefined) end = fence;
    else if (text.trim() === end) end = undefined;
    return isCode ? "" : text;
  });
}

/** The links of a Markdown file that lead into the repository. */
export async function linksOf(file: string): Promise<Link[]> {
  return (await prose(file)).flatMap((text, index) =>
    [...text.replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)[^)]*\)/g)]
      .map(([, target]) => ({ line: index + 1, target: target as string }))
      .filter(({ target }) => !/^[a-z]+:/.test(target)),
  );
}

/** The anchors that GitHub gives the headings of a Markdown file. */
export async function anchorsOf(file: string): Promise<Set<string>> {
  const anchors = new Set<string>();
  for (const text of await prose(file)) {
    const heading = /^#+ (.*)$/.exec(text)?.[1];
    if (heading === undefined) {
      for (const [, id] of text.matchAll(/<a (?:id|name)="([^"]+)">/g)) anchors.add(id as string);
      continue;
    }
    const shown = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*\\]/g, "");
    const slug = shown
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, "")
      .replaceAll(/\s/g, "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n += 1) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}
