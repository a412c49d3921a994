// Reads the body of a request, within limits for its size, its unpacked size and its depth.

import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Refusal } from "./refusal.js";

const MB = 1024 * 1024;
/** As it is sent: the official SDKs stop at 50 MB. */
const MAX_SENT_BYTES = 64 * MB;
const MAX_UNPACKED_BYTES = 256 * MB;
/** Validators recurse. Deeper JSON could overflow the stack. */
const MAX_DEPTH = 512;

const unpack = promisify(gunzip);

/** A body as it came and unpacked. */
export class Body {
  #text: string | undefined;

  constructor(
    readonly sent: Buffer,
    readonly bytes: Buffer,
  ) {}

  get text(): string {
    this.#text ??= this.bytes.toString();
    return this.#text;
  }
}

/** Reads it. Throws a `Refusal` if it is too large or can't be unpacked. */
export async function bodyOf(request: IncomingMessage): Promise<Body> {
  const sent = await bytesOf(request);
  const encoding = request.headers["content-encoding"];
  if (encoding === undefined || encoding === "identity") return new Body(sent, sent);
  if (encoding !== "gzip") throw new Refusal(415, `content-encoding ${encoding} is not supported`);
  try {
    return new Body(sent, await unpack(sent, { maxOutputLength: MAX_UNPACKED_BYTES }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw tooLarge("unpacked", MAX_UNPACKED_BYTES);
    throw new Refusal(400, "the body is not in gzip format");
  }
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  if (Number(request.headers["content-length"]) > MAX_SENT_BYTES) throw tooLarge("sent", MAX_SENT_BYTES);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_SENT_BYTES) throw tooLarge("sent", MAX_SENT_BYTES);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function tooLarge(how: string, limit: number): Refusal {
  return new Refusal(413, `the body is larger than ${limit / MB} MB as ${how}`);
}

/** Parses JSON. Throws a `Refusal` for other texts and for JSON that is nested too deeply. */
export function parseJson(text: string): unknown {
  if (isDeep(text)) throw new Refusal(400, `JSON may be nested ${MAX_DEPTH} times`);
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "Unable to process JSON");
  }
}

const [QUOTE, BACKSLASH, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

/** One pass, since every upload goes through it. `indexOf` leaps over strings, which are most of an upload. */
function isDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      do at = text.indexOf('"', at + 1);
      while (at >= 0 && isEscaped(text, at));
      if (at < 0) return false;
    } else if (code === OPEN_ARRAY || code === OPEN_OBJECT) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (code === CLOSE_ARRAY || code === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}

/** `true` if an odd number of backslashes stands before. */
function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === BACKSLASH) first -= 1;
  return (at - first) % 2 === 1;
}
