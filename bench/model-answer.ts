// A streamed answer as OpenAI's chat API gives it (openai 7.57, `chat/completions.d.ts`: ChatCompletionChunk), and the request for it.

/** Where it is asked for. */
export const URL = "https://api.openai.com/v1/chat/completions";
/** The request. */
export const BODY = JSON.stringify({
  model: "gpt-4.1-mini",
  stream: true,
  messages: [{ role: "user", content: "Tell me of the edge." }],
});
/** Events that come in one chunk, as they do over a network. */
const EVENTS_A_CHUNK = 4;

const event = (more: object): string =>
  `data: ${JSON.stringify({
    id: "chatcmpl-Bx3kJ2mWqYv8uXo1",
    object: "chat.completion.chunk",
    created: 1764370000,
    model: "gpt-4.1-mini-2025-04-14",
    service_tier: "default",
    system_fingerprint: "fp_6f2eabb9a5",
    ...more,
    obfuscation: "kT4bQ",
  })}\n\n`;

const words = Array.from({ length: 240 }, (_, n) => (n % 40 === 39 ? ".\n" : " edge"));
const EVENTS = [
  ...words.map((content) =>
    event({ choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null }], usage: null }),
  ),
  event({ choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }], usage: null }),
  event({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 240, total_tokens: 252 } }),
  "data: [DONE]\n\n",
];
const encoder = new TextEncoder();
/** The answer. */
export const CHUNKS = Array.from({ length: Math.ceil(EVENTS.length / EVENTS_A_CHUNK) }, (_, n) =>
  encoder.encode(EVENTS.slice(n * EVENTS_A_CHUNK, (n + 1) * EVENTS_A_CHUNK).join("")),
);

/** Of the whole answer. */
export const STREAM_BYTES = CHUNKS.reduce((sum, { length }) => sum + length, 0);
