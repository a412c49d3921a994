// Bodies for the relay: a page's post, mutated. Some are still valid.

import { idOf, NOW, spanOf, traceOf } from "./relay-support.js";
import type { Random } from "./seeded.js";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Values for any place, valid or not. They are JSON texts, because some cannot be made from a value. */
const VALUES = [
  ...[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "1E+2",
    "2147483647",
    "2147483648",
    "1e400",
    "-1e400",
  ],
  ...["12345678901234567890", "0.1e-400", "01", "+1", ".5", "1.", "NaN", "Infinity", "undefined", "0x10", "1n"],
  ...[
    '""',
    '"x"',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u2028"',
    '"\u2028"',
    '"\\/"',
    '"\\x"',
    '"\\u12"',
  ],
  ...['"a\nb"', "'x'", '"__proto__"', '"2026-06-01T12:00:00Z"', '"2026-02-30T00:00:00Z"', '"llm"', '"tool"', '"t1"'],
  ...[
    "[]",
    "{}",
    "[{}]",
    '["a"]',
    '["a","a"]',
    "[1]",
    "[[]]",
    '[{"a":1}]',
    '{"a":1}',
    '{"a":1,"a":2}',
    '{"a":{"toString":null}}',
  ],
  ...[
    '{"toString":null}',
    '{"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{}}}',
    '{"exception_type":"E","traceback":"t"}',
  ],
  ...['{"1":1,"0":0}', '{"":1}', '{"toJSON":1}', '{"length":1}', '{"then":1}', '{"valueOf":null,"toString":null}'],
  ...["[1,]", "{,}", '{"a"}', "{a:1}", "/* */1", "[1 2]", "", " ", "\ufeff1", "\u00a01", "\t1", "\v1"],
];
const NAMES = [
  ...[
    "id",
    "name",
    "start_time",
    "end_time",
    "last_updated_at",
    "input",
    "output",
    "metadata",
    "tags",
    "error_info",
    "ttft",
  ],
  ...["trace_id", "parent_span_id", "type", "model", "provider", "usage", "total_estimated_cost", "thread_id"],
  ...["project_name", "environment", "source", "value", "reason", "category_name"],
];
const STRANGE_NAMES = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "workspace_name",
  "",
  "ID",
  "i\\u0064",
  "a",
];
const KINDS = ["spans", "traces", "trace_scores", "span_scores", "thread_scores"];
const MEMBERS = [
  '"token":"x"',
  '"token":{}',
  '"spans":[]',
  '"__proto__":[]',
  '"projects":[{}]',
  '"s\\u0070ans":[{}]',
  '"a":1',
];
const PIECES = [
  '"',
  "\\",
  '\\"',
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  " ",
  "\n",
  "0",
  "e",
  "-",
  "\\u",
  "\ud800",
  "\u0000",
  "\ufeff",
  "\u2028",
  "*",
];

/** A body. A relay of the project `pages` whose time is `NOW` accepts about every third. */
export function generateBody(random: Random): string {
  const kind = random.of(KINDS);
  const rows = Array.from({ length: 1 + random.below(3) }, () => rowOf(kind, random));
  const members = [`${JSON.stringify(kind)}:[${rows.join(random.percent(97) ? "," : "")}]`];
  if (random.percent(8)) members.splice(random.below(2), 0, random.of(MEMBERS));
  let text = `{${members.join(",")}}`;
  if (random.percent(20)) text = mutated(text, random);
  return text;
}

function rowOf(kind: string, random: Random): string {
  const ms = random.percent(96) ? NOW : NOW + random.of([-DAY_MS - 1, DAY_MS + 1, 120_000, -400 * DAY_MS]);
  let row: object;
  if (kind === "spans") row = spanOf(ms);
  else if (kind === "traces") row = traceOf(ms);
  else {
    const target = kind === "thread_scores" ? { thread_id: random.of(["t", "u", " t"]) } : { id: idOf(ms) };
    row = { ...target, name: random.of(["a", "b", "a "]), value: random.below(3) };
  }
  const members = Object.entries(row).map(([name, value]) => [JSON.stringify(name), JSON.stringify(value)]);
  for (let more = random.below(4); more > 0; more -= 1) {
    const [name, value] = memberOf(random);
    members.splice(random.below(members.length + 1), 0, [`"${name}"`, value]);
  }
  if (random.percent(2)) members.splice(random.below(members.length), 1);
  const space = random.percent(5) ? random.of([" ", "\n", "\t", "\r\n", "\u00a0"]) : "";
  return `{${members.map(([name, value]) => `${space}${name}${space}:${space}${value}${space}`).join(",")}}`;
}

/** A member, mostly a valid member. */
function memberOf(random: Random): readonly [name: string, value: string] {
  if (random.percent(3)) return [random.of(STRANGE_NAMES), random.of(VALUES)];
  if (random.percent(12)) return [random.of(NAMES), random.of(VALUES)];
  if (random.percent(4)) return ["input", nested(60 + random.below(4), random)];
  return random.of([
    [
      "input",
      `{"a":${random.of(["1e400", "-0", "12345678901234567890", '"\\ud800"', '{"__proto__":{"b":1}}', '{"b":1,"b":2}'])}}`,
    ],
    ["output", random.of(['"text"', '{"\\u0000":"\\u2028"}', '[{"a":[1,{"b":null}]}]', "{}"])],
    ["metadata", random.of(['{"1":1,"0":0,"a":{"toJSON":1}}', '{"constructor":1}', "null"])],
    ["name", random.of(['"x"', '"\\u0078"', '"\\ud83d\\ude00"', '""', "null"])],
    ["tags", random.of(['["a","b"]', "[]", "null"])],
    ["project_name", random.of(['"pages"', '"PAGES"', "null", '"p\\u0061ges"', '"theirs"'])],
    ["environment", random.of(['"mine"', '{"toString":null}'])],
    ["last_updated_at", random.of(['"2199-01-01T00:00:00Z"', '"2026-01-01T00:00:00.5+02:00"'])],
    ["reason", '"because"'],
  ] as const);
}

function nested(depth: number, random: Random): string {
  const [open, close] = random.of([
    ["[", "]"],
    ['{"a":', "}"],
    ['{"\\"[{":', "}"],
  ] as const);
  return `{"a":${open.repeat(depth)}${open === "[" ? "" : "1"}${close.repeat(depth)}}`;
}

/** `text` with a few pieces inserted, removed, doubled or cut off. */
function mutated(text: string, random: Random): string {
  let mutant = text;
  for (let more = 1 + random.below(3); more > 0; more -= 1) {
    const at = random.below(mutant.length + 1);
    const length = 1 + random.below(6);
    const piece = random.percent(50) ? random.of(PIECES) : mutant.slice(at, at + length);
    const taken = random.percent(50) ? length : 0;
    mutant = mutant.slice(0, at) + (random.percent(70) ? piece : "") + mutant.slice(at + taken);
  }
  return random.percent(3) ? mutant.slice(0, random.below(mutant.length)) : mutant;
}
