// The fixtures of tests/vectors/llm as calls: a request, and an answer to be sent in pieces.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { frameOf, type Message } from "../models/frames.js";
import { ROOT } from "./worker.js";

/** A call of a model, and the record that it must give. */
export interface ModelFixture {
  /** File and name. */
  readonly name: string;
  /** The URL, for a call by `fetch`. */
  readonly url: string | undefined;
  /** The model, for a call of Workers AI's binding. */
  readonly binding: string | undefined;
  readonly request: unknown;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly answer: Buffer;
  /** The fields of the record that the fixture specifies. For `metadata`, the members that it specifies. */
  readonly expected: Readonly<Record<string, unknown>>;
}

interface Vector {
  readonly name: string;
  readonly url?: string;
  readonly binding?: string;
  readonly request: unknown;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly answer?: unknown;
  readonly events?: readonly Message[];
  readonly expected: Record<string, unknown>;
}

const FOLDER = join(ROOT, "tests/vectors/llm");

/** All fixtures, or the fixtures of one file. */
export function modelFixtures(file?: string): ModelFixture[] {
  const files = file ? [`${file}.json`] : readdirSync(FOLDER).filter((name) => name !== "recognised.json");
  return files.flatMap((name) =>
    (JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Vector[]).map((vector) => ({
      name: `${name.replace(".json", "")}: ${vector.name}`,
      url: vector.url,
      binding: vector.binding,
      request: vector.request,
      status: vector.status ?? 200,
      headers: vector.headers ?? {},
      answer: vector.events ? Buffer.concat(vector.events.map(frameOf)) : Buffer.from(textOf(vector.answer)),
      expected: vector.expected,
    })),
  );
}

/** Splits `bytes` into pieces of `size` bytes. */
export function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
}

/** Returns a string unchanged, joins an array of lines, and turns anything else into JSON. */
function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer;
  if (Array.isArray(answer) && answer.every((line) => typeof line === "string")) return answer.join("");
  return answer === undefined ? "" : JSON.stringify(answer);
}
