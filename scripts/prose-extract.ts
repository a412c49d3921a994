// Extracts the sentences of prose from a file: comments and documentation, Markdown, titles of tests, messages in string
// literals. Code inside of prose (fences, examples, inline code) is left out; inline code counts as one word.

import jsTokens from "js-tokens";

/** A sentence, and its first line, counted from 1. */
export interface Sentence {
  readonly line: number;
  readonly sentence: string;
}

/** Consecutive lines of one comment or of a whole document. */
interface Block {
  readonly line: number;
  readonly lines: string[];
}

/** The sentences of a file; an empty list for an unknown kind of file. */
export function proseOf(file: string, text: string): Sentence[] {
  return blocksOf(file, text).flatMap(sentencesOf);
}

function blocksOf(file: string, text: string): Block[] {
  const [, extension = ""] = /\.([a-z]+)$/.exec(file) ?? [];
  if (extension === "md") return [{ line: 1, lines: text.split("\n") }];
  if (/^(m?[jt]s|c[jt]s|[jt]sx|jsonc)$/.test(extension)) return blocksOfScript(text, isTest(file));
  if (extension === "rs") return blocksOfTokens(text, RUST, "//", !isTest(file));
  if (extension === "py") return blocksOfTokens(text, PYTHON, "#", false);
  if (/^(sh|toml|ya?ml)$/.test(extension) || text.startsWith("#!")) return blocksOfTokens(text, SHELL, "#", false);
  return [];
}

const isTest = (file: string) => /^(tests|fuzz)\/|\.test\.ts$/.test(file);

/** A token of a source, in one of two groups: a comment, including documentation in a string, or a string. */
const RUST =
  /(?<comment>\/\/.*|\/\*[\s\S]*?\*\/)|r(?<hashes>#*)"[\s\S]*?"\k<hashes>|(?<string>"(?:\\[\s\S]|[^"\\])*")|'(?:\\[^']+|[^'\\])'/g;
const PYTHON = /(?<comment>#.*|"""[\s\S]*?""")|(?<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')/g;
const SHELL = /(?<=^|\s)(?<comment>#.*)|(?<string>"(?:\\[\s\S]|[^"\\])*"|'[^']*')/gm;

function blocksOfTokens(text: string, token: RegExp, marker: string, hasMessages: boolean): Block[] {
  const blocks: Block[] = [];
  const comments = new Comments(marker, blocks);
  const lineAt = lineCounter(text);
  for (const { index, groups } of text.matchAll(token)) {
    const line = lineAt(index);
    if (groups?.["comment"]) comments.add(groups["comment"], line, isAloneOnLine(text, index));
    else if (groups?.["string"] && hasMessages) addMessage(blocks, line, groups["string"].slice(1, -1));
  }
  return blocks;
}

/** JavaScript and TypeScript: the titles of a test file, the messages of any other file. */
function blocksOfScript(text: string, isTestFile: boolean): Block[] {
  const blocks: Block[] = [];
  const comments = new Comments("//", blocks);
  const lineAt = lineCounter(text);
  // Open templates: the line of each, and the text of it so far.
  const open: { line: number; text: string; isTitle: boolean }[] = [];
  let index = 0;
  let before = "";
  const add = (line: number, string: string, isTitle: boolean) => {
    if (isTitle || !isTestFile) addMessage(blocks, line, string, isTitle);
  };
  for (const { type, value } of jsTokens(text)) {
    const line = lineAt(index);
    const isTitle = /(?:^|[^\w$])(?:test|it|describe|suite|t\.test)(?:\.\w+)?\($/.test(before);
    const top = open.at(-1);
    if (type === "SingleLineComment" || type === "MultiLineComment") {
      comments.add(value, line, isAloneOnLine(text, index));
    } else if (type === "StringLiteral" || type === "NoSubstitutionTemplate") {
      add(line, value.slice(1, -1), isTitle);
    } else if (type === "TemplateHead") {
      open.push({ line, text: value.slice(1, -2), isTitle });
    } else if (type === "TemplateMiddle" && top) {
      top.text += `\`x\`${value.slice(1, -2)}`;
    } else if (type === "TemplateTail" && top) {
      open.pop();
      add(top.line, `${top.text}\`x\`${value.slice(1, -1)}`, top.isTitle);
    }
    if (!/^(WhiteSpace|LineTerminatorSequence|.*Comment)$/.test(type)) before = (before + value).slice(-20);
    index += value.length;
  }
  return blocks;
}

/** A string with enough words for a sentence. Markup and code in strings are skipped. */
function addMessage(blocks: Block[], line: number, string: string, isTitle = false): void {
  if (!isTitle && (!/(?:\p{L}+[,:]? (?:`x` )?){3}\p{L}+/u.test(string) || /<\w|[{}]|\\u/.test(string))) return;
  blocks.push({ line, lines: string.split(/\\n|\n/) });
}

/** Joins comments on consecutive lines. */
class Comments {
  #last = { end: 0, marker: "", lines: [] as string[] };
  constructor(
    readonly marker: string,
    readonly blocks: Block[],
  ) {}

  add(comment: string, line: number, isAlone: boolean): void {
    if (!comment.startsWith(this.marker)) {
      const lines = comment.replace(/^(\/\*+!?|""")|(\*+\/|""")$/g, "").split("\n");
      this.blocks.push({ line, lines: lines.map((text) => text.replace(/^\s*\* ?/, "")) });
      return;
    }
    const marker = /^(\/\/[/!]?|#!?)/.exec(comment)![0];
    const text = comment.slice(marker.length).replace(/^ /, "");
    if (marker === "#!" || DIRECTIVE.test(text.trim())) return;
    if (isAlone && this.#last.end === line - 1 && this.#last.marker === marker) {
      this.#last.lines.push(text);
      this.#last.end = line;
    } else {
      this.#last = { end: isAlone ? line : -1, marker, lines: [text] };
      this.blocks.push({ line, lines: this.#last.lines });
    }
  }
}

/** Comments that tools read. */
const DIRECTIVE = /^(biome-ignore|@ts-|@__|shellcheck|<reference|# sourceMappingURL|deno-|eslint|c8 |noqa|type:)/;

/** An indented line of a list in two columns: how a script is called, and what it does then. */
const COLUMNS = /^ {2,}\S.* {2,}\S/;

/** The sentences of a text in Markdown. */
function sentencesOf({ line, lines }: Block): Sentence[] {
  const sentences: Sentence[] = [];
  let paragraph: { line: number; text: string }[] = [];
  const end = () => {
    sentences.push(...split(paragraph));
    paragraph = [];
  };
  let fence: string | undefined;
  let isExample = false;
  for (const [index, raw] of lines.entries()) {
    const text = raw.trim();
    const [mark] = /^(`{3,}|~{3,})/.exec(text) ?? [];
    if (fence) {
      if (text === fence) fence = undefined;
      continue;
    }
    const [tag] = /^@\w+/.exec(text) ?? [];
    if (tag) isExample = tag === "@example";
    if (mark || tag || isExample || text === "" || /^([-*+]|\d+\.|#+|>|\||<!--|---)(\s|\||$)/.test(text)) end();
    if (mark) fence = mark;
    else if (!isExample && COLUMNS.test(raw)) {
      end();
      for (const cell of text.split(/ {2,}/)) sentences.push(...split([{ line: line + index, text: cell }]));
    } else if (text === "" || isExample || /^(<!--.*-->|-{3,}|\|[-|: ]+\|)$/.test(text)) continue;
    else if (text.startsWith("|")) {
      for (const cell of text.split(/(?<!\\)\|/)) sentences.push(...split([{ line: line + index, text: cell }]));
    } else {
      const shown = text
        .replace(/^([-*+]|\d+\.|#+|>)\s+/, "")
        .replace(/^@(param|typeParam|template)\s+\S+\s+(- )?|^@\w+\s*/, "");
      paragraph.push({ line: line + index, text: shown });
      if (text.startsWith("#")) end();
    }
  }
  end();
  return sentences;
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

function split(paragraph: readonly { line: number; text: string }[]): Sentence[] {
  const joined = paragraph.map(({ text }) => text).join(" ");
  const starts: { line: number; at: number }[] = [];
  for (const { line, text } of paragraph) starts.push({ line, at: (starts.at(-1)?.at ?? 0) + text.length + 1 });
  // Replacements of the same length, so that positions stay. In upper case, because a sentence can begin with code.
  const plain = joined
    .replaceAll(/(`+)(.+?)\1/g, (code) => `\`${"X".repeat(code.length - 2)}\``)
    .replaceAll(/\{@link [^}]*\}/g, (code) => `\`${"X".repeat(code.length - 2)}\``)
    .replaceAll(/\]\([^)]*\)/g, (target) => " ".repeat(target.length))
    .replaceAll(/https?:\/\/\S+/g, (url) => "x".repeat(url.length))
    .replaceAll(/\b(e\.g|i\.e|vs|cf|etc)\./g, "$1 ");
  return [...segmenter.segment(plain)]
    .map(({ segment, index }) => ({
      line: starts.find(({ at }) => index < at)?.line ?? 1,
      sentence: segment
        .replaceAll(/`X+`/g, "`…`")
        .replaceAll(/[[\]*_]/g, "")
        .replaceAll(/\s+/g, " ")
        .trim(),
    }))
    .filter(({ sentence }) => /\p{L}{2}/u.test(sentence));
}

/** Line numbers for positions that only grow. */
function lineCounter(text: string): (index: number) => number {
  let [line, at] = [1, 0];
  return (index) => {
    for (; at < index; at += 1) if (text[at] === "\n") line += 1;
    return line;
  };
}
const isAloneOnLine = (text: string, index: number) =>
  /(^|\n)[ \t]*$/.test(text.slice(Math.max(0, index - 200), index));
