// The fixtures: the vectors of model calls, and fixtures.json, with answers that have more of the fields that SDKs need.
// Both have the shape that tests/vectors/README.md describes.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/worker.js";
import type { Expected } from "./case.js";
import { frameOf, type Message } from "./frames.js";

interface Fixture {
  readonly name: string;
  /** The source of its facts. */
  readonly source: string;
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The texts of the answer's body, to be joined. */
  readonly answer?: readonly string[];
  /** In place of `answer`: messages of an AWS event stream. */
  readonly events?: readonly Message[];
  readonly expected: Expected;
}

const files = new Map<string, readonly Fixture[]>();

/** The fixture with the title `FILE: NAME`. */
export function fixture(title: string): Fixture {
  const [, file = "", name] = /^(\w+): (.*)$/.exec(title) ?? [];
  const path = file === "models" ? "tests/models/fixtures.json" : `tests/vectors/llm/${file}.json`;
  const fixtures = files.get(file) ?? (JSON.parse(readFileSync(join(ROOT, path), "utf8")) as readonly Fixture[]);
  files.set(file, fixtures);
  const found = fixtures.find((one) => one.name === name);
  if (!found) throw new Error(`there is no fixture "${title}"`);
  return found;
}

/** The response to send for a fixture. */
export function answerOf(title: string): {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bodies: readonly Uint8Array[];
} {
  const { status = 200, headers, answer, events } = fixture(title);
  const bodies = events ? events.map(frameOf) : answer!.map((part) => Buffer.from(part));
  return { status, headers, bodies };
}
