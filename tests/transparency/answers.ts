// Answers of the recording server, by name. The last part of a request's path selects one. server.ts sends them; programs only use
// the names.

import type { IncomingMessage, ServerResponse } from "node:http";
import { brotliCompressSync, gzipSync } from "node:zlib";

/** Data from which an answer is made. */
export interface Question {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path of the same case on this origin, without the answer's name. */
  readonly path: string;
  /** The same case's URL on the other origin, which allows CORS. */
  readonly elsewhere: string;
  /** Resolves when the program asks for the next step, or the client has left. */
  next(): Promise<void>;
}

type Answer = (question: Question) => void | Promise<void>;

/** The text of most answers. Its hash is used by `integrity`. */
export const TEXT = "the answer: 42, žluťoučký kůň 🐎";
const BYTES = Buffer.from(TEXT);
const PLAIN = { "content-type": "text/plain; charset=utf-8" };

/** Answers with a whole body and its length. */
const whole = (
  status: number,
  body: string | Uint8Array,
  headers: Record<string, string | string[]> = PLAIN,
): Answer => {
  const bytes = Buffer.from(body);
  return ({ response }) => {
    response.writeHead(status, { ...headers, "content-length": `${bytes.length}` }).end(bytes);
  };
};

const none =
  (status: number): Answer =>
  ({ response }) =>
    void response.writeHead(status).end();

const encoded = (encoding: string, compress: (bytes: Buffer) => Buffer): Answer =>
  whole(200, compress(Buffer.from(TEXT.repeat(50))), { ...PLAIN, "content-encoding": encoding });

const redirect =
  (status: number, location: (question: Question) => string): Answer =>
  (question) =>
    void question.response
      .writeHead(status, { ...PLAIN, location: location(question), "content-length": "5" })
      .end("moved");
const toText = ({ path }: Question): string => `${path}text`;

/** Answers with a body of unknown length. */
const chunked =
  (chunks: readonly (string | Uint8Array)[], headers: Record<string, string>): Answer =>
  ({ response }) => {
    response.writeHead(200, headers);
    for (const chunk of chunks) response.write(chunk);
    response.end();
  };

const EVENTS = ["data: 1\n\n", ": ping\n\n", ": ping\n\n", "data: [DONE]\n\n"];
const FORM = [
  '--limit\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n',
  '--limit\r\ncontent-disposition: form-data; name="f"; filename="f.txt"\r\ncontent-type: text/plain\r\n\r\nfile\r\n--limit--\r\n',
].join("");

/** The answers by name. */
export const ANSWERS = {
  text: whole(200, BYTES),
  json: whole(200, JSON.stringify({ a: [1, null, "ž"] }), { "content-type": "application/json" }),
  "not json": whole(200, "{", { "content-type": "application/json" }),
  "form data": whole(200, FORM, { "content-type": "multipart/form-data; boundary=limit" }),
  "url-encoded": whole(200, "a=1&b=%C5%BE", { "content-type": "application/x-www-form-urlencoded" }),
  bytes: whole(
    200,
    Uint8Array.from({ length: 256 }, (_, i) => i),
    { "content-type": "application/octet-stream" },
  ),
  "not UTF-8": whole(200, Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xff, 0xfe)),
  large: whole(200, new Uint8Array(300_000).fill(120)),
  empty: whole(200, ""),
  chunked: chunked(["one ", "two ", "three"], PLAIN),
  events: chunked(EVENTS, { "content-type": "text/event-stream" }),
  204: none(204),
  205: none(205),
  304: none(304),
  gzip: encoded("gzip", gzipSync),
  br: encoded("br", brotliCompressSync),
  "not gzip": whole(200, BYTES, { ...PLAIN, "content-encoding": "gzip" }),
  301: redirect(301, toText),
  302: redirect(302, toText),
  303: redirect(303, toText),
  307: redirect(307, toText),
  308: redirect(308, toText),
  "302 elsewhere": redirect(302, ({ elsewhere }) => `${elsewhere}text`),
  "307 elsewhere": redirect(307, ({ elsewhere }) => `${elsewhere}text`),
  "302 to a fragment": redirect(302, ({ path }) => `${path}text#there`),
  "302 in a loop": redirect(302, ({ path }) => `${path}302%20in%20a%20loop`),
  "302 to nowhere": redirect(302, () => "http://"),
  400: whole(400, '{"error":"bad"}', { "content-type": "application/json" }),
  401: whole(401, "who?", { ...PLAIN, "www-authenticate": 'Bearer realm="r", error="invalid_token"' }),
  404: whole(404, "not found", {}),
  500: whole(500, "broken"),
  "status text": ({ response }: Question) =>
    void response.writeHead(299, "As One Likes It", { ...PLAIN, "content-length": "2" }).end("ok"),
  cookies: whole(200, "cookies", { ...PLAIN, "set-cookie": ["a=1; Path=/nowhere", "b=2; Path=/nowhere; HttpOnly"] }),
  "repeated headers": whole(200, "repeated", { ...PLAIN, "x-a": ["1", "2"], "X-B": "b", vary: ["a", "b"] }),
  "headers in Latin-1": whole(200, "latin", { ...PLAIN, "x-latin": "\u00e9\u00ff" }),
  "a long header": whole(200, "long", { ...PLAIN, "x-long": "x".repeat(7000) }),
  /** Closes the connection in the middle of a body of known length. */
  "cut short": ({ response }: Question) => {
    response.writeHead(200, { ...PLAIN, "content-length": "100" }).write("the first half", () => response.destroy());
  },
  "chunked, cut short": ({ response }: Question) => {
    response.writeHead(200, PLAIN).write("the first half", () => response.destroy());
  },
  /** Closes the connection without an answer. */
  "closes at once": ({ response }: Question) => void response.destroy(),
  /** Waits until the client leaves. */
  "never answers": async ({ response, next }: Question) => {
    await next();
    response.destroy();
  },
  /** Sends chunks until the client leaves. */
  endless: async ({ response, next }: Question) => {
    response.writeHead(200, PLAIN);
    while (!response.destroyed) {
      response.write("more\n");
      await next();
    }
  },
  /** Sends one chunk per step. */
  "step by step": async ({ response, next }: Question) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of EVENTS) {
      response.write(event);
      await next();
    }
    response.end();
  },
  /** Resets the connection in the second step. */
  "reset in the second step": async ({ request, response, next }: Question) => {
    response.writeHead(200, PLAIN).write("the first half");
    await next();
    request.socket.resetAndDestroy();
  },
} satisfies Record<string, Answer>;

/** The name of an answer. */
export type AnswerName = keyof typeof ANSWERS;
