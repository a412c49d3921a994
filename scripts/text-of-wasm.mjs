// Writes the modules as text, each as a JavaScript module beside its .wasm file: node scripts/text-of-wasm.mjs FOLDER.
// The code in js/platform/wasm/inline.ts decodes it. Base64 would hide a module's repetitions from gzip, which costs 5
// KB more (docs/adr/0006-size-budgets.md).

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import binaryen from "binaryen";

/** Printable ASCII, without the characters that end a string or a `</script>`. */
const LEFT_OUT = '"<\\';
const ALPHABET = Array.from({ length: 95 }, (_, n) => String.fromCharCode(0x20 + n)).filter(
  (c) => !LEFT_OUT.includes(c),
);
/**
 * The most frequent bytes are one character, and there are this many of them. The others are two: the first stands for the
 * quotient, the second for the rest.
 */
const DIRECT = ALPHABET.length - 2;
const PAGE_BYTES = 65536;

const folder = process.argv[2];
const modules = await Promise.all(["core_bg.wasm", "llm/llm_bg.wasm"].map((file) => readFile(join(folder, file))));
const isFrequent = frequentBytes();
/** All bytes: the frequent ones, then the others, both in ascending order. A byte's place is its number in the text. */
const byNumber = [...isFrequent.keys()].sort((a, b) => isFrequent[b] - isFrequent[a] || a - b);
const [core, llm] = modules.map(textOf);
/** One decoder for both, large enough for either. Behind the text are a bit for each byte that is frequent, and all bytes by number. */
const bits = Math.max(core.length, llm.length);
const table = bits + 32;

/** 1 for each byte that is frequent in the modules, else 0. */
function frequentBytes() {
  const counts = new Array(256).fill(0);
  for (const module of modules) for (const byte of module) counts[byte] += 1;
  const least = [...counts].sort((a, b) => b - a)[DIRECT - 1];
  let left = DIRECT - counts.filter((count) => count > least).length;
  return counts.map((count) => Number(count > least || (count === least && left-- > 0)));
}

function textOf(module) {
  const characters = new Array(256);
  for (const [number, byte] of byNumber.entries()) {
    const rest = number - DIRECT;
    characters[byte] =
      rest < 0 ? ALPHABET[number] : ALPHABET[DIRECT + Math.floor(rest / DIRECT)] + ALPHABET[rest % DIRECT];
  }
  return Array.from(module, (byte) => characters[byte]).join("");
}

/** The bits of `frequentBytes` as bytes, in the notation of WebAssembly's text format. */
function bitsAsText() {
  const bytes = Array.from({ length: 32 }, (_, at) =>
    isFrequent.slice(at * 8, at * 8 + 8).reduce((byte, bit, place) => byte | (bit << place), 0),
  );
  return bytes.map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
}

/** Decodes the characters at the beginning of its memory in place, and returns the number of bytes. */
const decoder = binaryen.parseText(`(module
  (memory (export "memory") ${Math.ceil((table + 256) / PAGE_BYTES)})
  (data (i32.const ${bits}) "${bitsAsText()}")
  (func $value (param $at i32) (result i32)
    (local $code i32)
    (local.set $code (i32.load8_u (local.get $at)))
    ${Array.from(LEFT_OUT).reduce(
      (value, c) => `(i32.sub ${value} (i32.gt_u (local.get $code) (i32.const ${c.charCodeAt(0)})))`,
      "(i32.sub (local.get $code) (i32.const 32))",
    )})
  (func (export "decode") (param $length i32) (result i32)
    (local $next i32) (local $at i32) (local $byte i32) (local $frequent i32) (local $other i32)
    (local.set $frequent (i32.const ${table}))
    (local.set $other (i32.const ${table + DIRECT}))
    (loop $fill
      (if (i32.and
          (i32.shr_u
            (i32.load8_u offset=${bits} (i32.shr_u (local.get $byte) (i32.const 3)))
            (i32.and (local.get $byte) (i32.const 7)))
          (i32.const 1))
        (then
          (i32.store8 (local.get $frequent) (local.get $byte))
          (local.set $frequent (i32.add (local.get $frequent) (i32.const 1))))
        (else
          (i32.store8 (local.get $other) (local.get $byte))
          (local.set $other (i32.add (local.get $other) (i32.const 1)))))
      (local.set $byte (i32.add (local.get $byte) (i32.const 1)))
      (br_if $fill (i32.lt_u (local.get $byte) (i32.const 256))))
    (loop $more
      (local.set $byte (call $value (local.get $next)))
      (local.set $next (i32.add (local.get $next) (i32.const 1)))
      (if (i32.ge_u (local.get $byte) (i32.const ${DIRECT})) (then
        (local.set $byte (i32.add
          (i32.mul (i32.sub (local.get $byte) (i32.const ${DIRECT - 1})) (i32.const ${DIRECT}))
          (call $value (local.get $next))))
        (local.set $next (i32.add (local.get $next) (i32.const 1)))))
      (i32.store8 (local.get $at) (i32.load8_u offset=${table} (local.get $byte)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $next) (local.get $length))))
    (local.get $at)))`);
decoder.setFeatures(binaryen.Features.MVP);
if (!decoder.validate()) throw new Error("the decoder is not a valid module");
binaryen.setOptimizeLevel(2);
binaryen.setShrinkLevel(2);
decoder.optimize();

await write(
  "core_text",
  `/** A module that exports its \`memory\` and \`decode\`, which turns the first characters there into bytes. It takes and returns their number. */
export const DECODER = [${decoder.emitBinary().join(",")}];
export const CORE_TEXT =
  "${core}";
`,
  "export const DECODER: number[];\nexport const CORE_TEXT: string;\n",
);
await write("llm/llm_text", `export const LLM_TEXT =\n  "${llm}";\n`, "export const LLM_TEXT: string;\n");

async function write(name, code, types) {
  await writeFile(join(folder, `${name}.js`), `// Generated by scripts/build.\n\n${code}`);
  await writeFile(join(folder, `${name}.d.ts`), types);
}
