// Bodies of a given length that make as much work for a relay as possible.

let counter = 0;
function idOf(ms) {
  const time = ms.toString(16).padStart(12, "0");
  counter += 1;
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${counter.toString(16).padStart(12, "0")}`;
}
const row = (ms) => `"id":"${idOf(ms)}","trace_id":"${idOf(ms)}","start_time":"${new Date(ms).toISOString()}"`;
const filled = (text, bytes) => text.repeat(Math.ceil(Math.max(0, bytes) / text.length));
/** One row, with a field that fills the length. */
const withField = (before, filler, after) => (bytes, ms) => {
  const start = `{"spans":[{${row(ms)},${before}`;
  return `${start}${filled(filler, bytes - start.length - after.length - 3)}${after}}]}`;
};
/** Enough rows to fill the length. */
const many = (kind, make) => (bytes, ms) => {
  const rows = [];
  for (let length = 20; length < bytes; length += rows.at(-1).length + 1) rows.push(make(ms, rows.length));
  return `{"${kind}":[${rows.join(",")}]}`;
};
const members = (make) => (bytes, ms) => {
  const parts = [];
  for (let length = 200; length < bytes; length += parts.at(-1).length + 1) parts.push(make(parts.length));
  return `{"spans":[{${row(ms)},${parts.join(",")}}]}`;
};

const BODIES = {
  "a string of escaped quotes that does not end": (bytes) => `"${filled('\\"', bytes - 1)}`,
  "a string of backslashes that does not end": (bytes) => `"${filled("\\", bytes - 1)}`,
  "empty strings": (bytes) => filled('""', bytes),
  "brackets that open and close": (bytes) => filled("[]{}", bytes),
  "an array of arrays": (bytes) => `[${filled("[[[[[]]]]],", bytes - 4)}[]]`,
  "a long string": withField('"input":"', "x", '"'),
  "a long string of escapes": withField('"input":"', "\\u0000", '"'),
  "a long string of halves of characters": withField('"input":"', "\\ud800", '"'),
  "a long string beyond Latin-1": withField('"input":"', "\u6f22", '"'),
  "a long number": withField('"ttft":1', "1", ""),
  "a long exponent": withField('"ttft":1e', "1", ""),
  "a long time": withField('"end_time":"2026-06-01T12:00:00.', "1", 'Z"'),
  "a long id": withField('"parent_span_id":"', "0123abcd-", '"'),
  "a long project": withField('"project_name":"', "\u0130", '"'),
  "the smallest rows": many("spans", () => "{}"),
  spans: many("spans", (ms) => `{${row(ms)}}`),
  "spans with all fields": many(
    "spans",
    (ms) =>
      `{${row(ms)},"name":"n","end_time":"2026-06-01T12:00:00Z","tags":["a","b"],"usage":{"a":1,"b":2},"input":{"a":[{"b":1}]}}`,
  ),
  "scores of one name": many("trace_scores", (ms) => `{"id":"${idOf(ms)}","name":"a","value":1}`),
  "tags that differ": (bytes, ms) => {
    const tags = [];
    for (let length = 200; length < bytes; length += tags.at(-1).length + 1) tags.push(`"${tags.length}"`);
    return `{"spans":[{${row(ms)},"tags":[${tags.join(",")}]}]}`;
  },
  "usage of many names": (bytes, ms) => {
    const usage = [];
    for (let length = 200; length < bytes; length += usage.at(-1).length + 1) usage.push(`"a${usage.length}":1`);
    return `{"spans":[{${row(ms)},"usage":{${usage.join(",")}}}]}`;
  },
  "usage of many indices, from the last": (bytes, ms) => {
    const usage = [];
    for (let length = 200; length < bytes; length += usage.at(-1).length + 1)
      usage.push(`"${4e9 - 7 * usage.length}":1`);
    return `{"spans":[{${row(ms)},"usage":{${usage.join(",")}}}]}`;
  },
  "fields that are not a page's": members((n) => `"a${n}":1`),
  "one field again and again": members(() => '"name":"x"'),
  "small objects": withField('"input":[{}', ",{}", "]"),
  "objects in objects": withField('"input":[{}', ',{"a":{"b":{"c":{"d":{}}}}}', "]"),
};

/** The names of all bodies. */
export const SHAPES = Object.keys(BODIES);

/** The body of `shape`, about `bytes` long; its rows have the time `ms`. */
export function bodyOf(shape, bytes, ms) {
  counter = 0;
  return BODIES[shape](bytes, ms);
}
