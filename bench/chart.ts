// A bar chart of ratios to the floor, as an SVG that follows the reader's colour scheme, also where it is shown as an image.

import { CONTENDERS, FLOOR, PEERS } from "./contenders.js";
import type { Figure } from "./rounds.js";
import { short } from "./tables.js";

/** The figures of one runtime. */
export interface Series {
  readonly name: string;
  readonly figures: readonly Figure[];
}

const WIDTH = 760;
/** Where bars begin, and how long the longest is. */
const LEFT = 190;
const LONGEST = 460;
const BAR = 13;
const GAP = 11;
const TOP = 64;

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 13px; }
  .note { fill: #57606a; font-size: 11px; }
  .axis { stroke: #d0d7de; }
  .other { fill: #afb8c1; } .other.second { fill: #d0d7de; }
  .own { fill: #6639ba; } .own.second { fill: #a475f9; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .note { fill: #8d96a0; } .axis { stroke: #3d444d; }
    .other { fill: #656c76; } .other.second { fill: #3d444d; }
    .own { fill: #ab7df8; } .own.second { fill: #7a4fd0; }
  }`;

const NOTE = "CPU time as a multiple of one hand-written JSON.stringify; shorter is better, the scale is logarithmic";

/** One bar for each contender and runtime. The scale is logarithmic: it begins at the floor. */
export function chart(title: string, content: string, series: readonly Series[]): string {
  const entries = CONTENDERS.filter(
    (entry) => entry !== FLOOR && series.some(({ figures }) => figures.some((figure) => figure.entry === entry)),
  );
  const ratios = series.flatMap(({ figures }) => figures.map(({ ratio }) => ratio.median));
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(1, ...ratios))));
  const x = (ratio: number): number => LEFT + (Math.log10(Math.max(1, ratio)) / decades) * LONGEST;
  const rowHeight = series.length * BAR + GAP;
  const height = TOP + entries.length * rowHeight + 28;
  const marks: string[] = [];

  for (let decade = 0; decade <= decades; decade += 1) {
    const at = round(x(10 ** decade));
    marks.push(`<line class="axis" x1="${at}" y1="${TOP - 6}" x2="${at}" y2="${height - 24}"/>`);
    const label = decade === 0 ? "the floor" : `${10 ** decade} ×`;
    marks.push(`<text class="note" x="${at}" y="${height - 8}" text-anchor="middle">${label}</text>`);
  }
  entries.forEach((entry, row) => {
    const y = TOP + row * rowHeight;
    marks.push(`<text x="${LEFT - 10}" y="${y + rowHeight / 2 - 2}" text-anchor="end">${plain(entry.name)}</text>`);
    series.forEach(({ name, figures }, index) => {
      const figure = figures.find((one) => one.entry === entry);
      if (!figure) return;
      const { median } = figure.ratio;
      const kind = `${PEERS.includes(entry) ? "other" : "own"}${index > 0 ? " second" : ""}`;
      const top = y + index * BAR;
      const length = Math.max(2, x(median) - LEFT);
      marks.push(`<rect class="${kind}" x="${LEFT}" y="${top}" width="${round(length)}" height="${BAR - 2}"/>`);
      const label = `${short(median)} × ${name}`;
      marks.push(`<text class="note" x="${round(LEFT + length + 6)}" y="${top + BAR - 4}">${label}</text>`);
    });
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>${plain(title)}</title>
<style>${STYLE}
</style>
<text x="10" y="20"><tspan class="title">${plain(title)}</tspan>: ${plain(content)}</text>
<text class="note" x="10" y="40">${NOTE}</text>
${marks.join("\n")}
</svg>
`;
}

function plain(text: string): string {
  return text.replaceAll("`", "").replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
