// Turns Markdown of models into elements: paragraphs, headings, lists, bold, code. Everything else stays text, so no
// answer can become markup.

import type { ComponentChildren, JSX } from "preact";

/** As much is read at once. */
const MAX_LENGTH = 50_000;

/** A text with its paragraphs, lists and code. */
export function Markdown({ text }: { readonly text: string }): JSX.Element {
  return <div class="prose">{text.length > MAX_LENGTH ? <p>{text}</p> : blocksOf(text)}</div>;
}

function blocksOf(text: string): JSX.Element[] {
  const blocks: JSX.Element[] = [];
  const lines = text.split(/\r?\n/);
  const take = (matches: (line: string) => boolean, at: number) => {
    let end = at;
    while (end < lines.length && matches(lines[end]!)) end += 1;
    return lines.slice(at, end);
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at]!;
    if (line.trim() === "") at += 1;
    else if (/^\s*```/.test(line)) {
      const code = take((one) => !/^\s*```\s*$/.test(one), at + 1);
      blocks.push(<pre>{code.join("\n")}</pre>);
      at += code.length + 2;
    } else if (isItem(line)) {
      const items = take(isItem, at);
      const list = items.map((item) => <li>{inline(item.replace(/^\s*(?:[-*•]|\d+[.)])\s+/, ""))}</li>);
      blocks.push(/^\s*\d/.test(line) ? <ol>{list}</ol> : <ul>{list}</ul>);
      at += items.length;
    } else if (/^#{1,6}\s/.test(line)) {
      blocks.push(<p class="heading">{inline(line.replace(/^#+\s+/, ""))}</p>);
      at += 1;
    } else {
      const paragraph = take((one) => one.trim() !== "" && !isItem(one) && !/^\s*```|^#{1,6}\s/.test(one), at);
      blocks.push(<p>{inline(paragraph.join("\n"))}</p>);
      at += paragraph.length;
    }
  }
  return blocks;
}

function isItem(line: string): boolean {
  return /^\s*(?:[-*•]|\d{1,3}[.)])\s+\S/.test(line);
}

function inline(text: string): ComponentChildren {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part) => {
    if (part.length > 2 && part.startsWith("`")) return <code>{part.slice(1, -1)}</code>;
    if (part.length > 4 && part.startsWith("**")) return <strong>{part.slice(2, -2)}</strong>;
    return part;
  });
}
