// The fixtures of tests/vectors/llm as calls: what is sent, and an answer that comes in pieces.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { frameOf, type Message } from "../models/frames.js";
import { ROOT } from "./worker.js";

/** A call of a model and what is to be recorded of it. */
export interface ModelFixture {
  /** File and name. */
  readonly name: string;
  /** Of a call by `fetch`. */
  readonly url: string | undefined;
  /** The model, of a call of Workers AI's binding. */
  readonly binding: string | undefined;
  readonly request: unknown;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly answer: Buffer;
  /** Each field of the record that the fixture is about; of `metadata` each member. */
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

/** All of them, or those of one file. */
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

/** `bytes` in pieces of so many. */
export function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
  return pieces;
}

/** A string as it is, lines of an array joined, anything else as JSON. */
function textOf(answer: unknown): string {
  if (typeof answer === "string") return answer;
  if (Array.isArray(answer) && answer.every((line) => typeof line === "string")) return answer.join("");
  return answer === undefined ? "" : JSON.stringify(answer);
}
