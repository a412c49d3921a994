// The measured requests: several shapes, the same for every contender. They are made once, and making them counts for
// no contender.

/** One operation of a request, as a tracer sees it. */
export interface Work {
  readonly name: string;
  readonly type: "general" | "tool" | "llm";
  readonly input: object;
  readonly output: object;
  readonly model?: string;
  readonly provider?: string;
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
  };
  /** `true` if it calls another service, which gets headers. */
  readonly calls?: boolean;
  /** Its answer, where it comes bit by bit: the span ends when the client has read it. */
  readonly chunks?: readonly string[];
}

/** A request: its root, and the operations below it, one after the other. */
export interface Shape {
  readonly root: Work;
  readonly children: readonly Work[];
}

const WORDS =
  "the answer depends on which document was found first and how much of it the model was shown when it was asked".split(
    " ",
  );

/** English text of `characters` ASCII characters, different for every `seed`; gzip makes a fifth of it. */
function text(characters: number, seed = 0): string {
  let state = seed + 1;
  const parts: string[] = [];
  for (let length = 0; length < characters; length += parts.at(-1)!.length) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    parts.push(WORDS[(state >>> 8) % WORDS.length]! + (state >>> 28 === 0 ? ".\n" : " "));
  }
  return parts.join("").slice(0, characters);
}

/** The question: a Worker's root span records it in these words. */
export const ROOT_URL = "http://host.test/chat";
const ROOT = {
  name: "POST /chat",
  type: "general",
  input: { method: "POST", url: ROOT_URL },
  output: { status: 200 },
} as const;

/** A root and three children, 7 KB of payload, two of them hand headers on. */
export const EDGE: Shape = {
  root: {
    ...ROOT,
    input: { ...ROOT.input, message: text(248) },
    output: { ...ROOT.output, answer: text(900, 3) },
  },
  children: [
    {
      name: "retrieve",
      type: "tool",
      input: { query: text(120, 5), limit: 4 },
      output: {
        documents: [1, 2, 3, 4].map((n) => ({
          id: `doc-${n}`,
          score: 1 - n / 8,
          title: text(24, n),
          text: text(682, n),
        })),
      },
      calls: true,
    },
    {
      name: "llm",
      type: "llm",
      model: "gpt-4.1-mini",
      provider: "openai",
      input: {
        temperature: 0.2,
        messages: [
          { role: "system", content: text(300, 7) },
          { role: "user", content: text(1297, 8) },
        ],
      },
      output: { role: "assistant", content: text(900, 3), finish_reason: "stop" },
      usage: { prompt_tokens: 411, completion_tokens: 187, total_tokens: 598 },
      calls: true,
    },
    { name: "rank", type: "tool", input: { ids: [1, 2, 3, 4] }, output: { ids: [2, 1, 4, 3] } },
  ],
};

/** The edge request, whose model answers bit by bit, in 150 pieces. */
export const STREAM: Shape = {
  ...EDGE,
  children: EDGE.children.map((work) =>
    work.type === "llm" ? { ...work, chunks: text(900, 3).match(/.{6}/gs)! } : work,
  ),
};

/** A trace of that number of spans, each nearly empty. */
export function many(spans: number): Shape {
  const child: Work = { name: "step", type: "tool", input: { n: 1 }, output: { ok: true } };
  return { root: ROOT, children: Array.from({ length: spans - 1 }, () => child) };
}

/** The longest text of a span: this package cuts longer ones than 512 KB by default, since Opik does. */
const LONGEST_TEXT = 256 * 1024;

/** Outputs of that number of bytes of text, in as few spans as possible. */
export function large(bytes: number): Shape {
  const lengths = [];
  for (let left = bytes; left > 0; left -= LONGEST_TEXT) lengths.push(Math.min(left, LONGEST_TEXT));
  return {
    root: ROOT,
    children: lengths.map((length) => ({ name: "llm", type: "llm", input: { n: 1 }, output: { text: text(length) } })),
  };
}

/** The shapes by the names that are used between processes. */
export const SHAPES: Readonly<Record<string, () => Shape>> = {
  edge: () => EDGE,
  many: () => many(50),
  stream: () => STREAM,
  "5mb": () => large(5 * 1024 * 1024),
};

/** A shape by name; `many:N` and `large:N` are of any size. */
export function shapeOf(name: string): Shape {
  const [kind, size] = name.split(":");
  if (size !== undefined) return kind === "many" ? many(Number(size)) : large(Number(size));
  const make = SHAPES[name];
  if (!make) throw new Error(`no such shape: ${name}`);
  return make();
}

/** Every operation of a shape, the root first. */
export function worksOf({ root, children }: Shape): Work[] {
  return [root, ...children];
}

/** The size of what a shape records, as JSON. */
export function payloadBytes(shape: Shape): number {
  const parts = worksOf(shape).flatMap(({ input, output }) => [input, output]);
  return parts.reduce((bytes, part) => bytes + Buffer.byteLength(JSON.stringify(part)), 0);
}

/** The caller's ids, in the form of each way to hand them on. */
export const CALLER = {
  traceId: "01a20612-0b81-7cc1-922c-2da813a3fcfc",
  spanId: "01a20612-0bcc-794c-8aba-f81361854650",
  w3cTraceId: "0af7651916cd43dd8448eb211c80319c",
  w3cSpanId: "b7ad6b7169203331",
} as const;

/** The headers that the request brings, for whichever contender. */
export const HEADERS: Headers = new Headers({
  "content-type": "application/json",
  "user-agent": "python-httpx/0.28.1",
  opik_trace_id: CALLER.traceId,
  opik_parent_span_id: CALLER.spanId,
  traceparent: `00-${CALLER.w3cTraceId}-${CALLER.w3cSpanId}-01`,
  "sentry-trace": `${CALLER.w3cTraceId}-${CALLER.w3cSpanId}-1`,
  "langsmith-trace": `20261101T000000000000Z${CALLER.traceId}.20261101T000000000001Z${CALLER.spanId}`,
});
