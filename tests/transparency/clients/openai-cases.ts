// Uses of OpenAI's SDK, for both major versions.

import type OpenAIClass from "openai";
import type { Cases, Host } from "./case.js";
import { all, answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";
import { breaksOff, leftByBreak } from "./stream-cases.js";

const messages = [{ role: "user" as const, content: "Say hello" }];
const asked = { model: "model-1", messages };
const streamed = { ...asked, stream: true as const };

/** The cases for the SDK with this class. */
export function openaiCases(OpenAI: typeof OpenAIClass): Cases {
  const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok", options: object = {}) =>
    new OpenAI({ apiKey: "key", baseURL: `${url(behaviour)}/v1`, fetch, maxRetries: 2, ...options });
  const without = { maxRetries: 0 };

  return {
    "a completion": {
      run: async (host) => {
        const made = host.call(() => client(host).chat.completions.create(asked));
        const answer = await made;
        return { kind: kind(made), isPromise: made instanceof Promise, answer, id: answer._request_id };
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "the promise is the one that the SDK made": {
      run: async (host) => {
        let made: unknown;
        const got = host.call(() => {
          const promise = client(host).chat.completions.create(asked);
          made = promise;
          return promise;
        });
        const isSame = got === made;
        await got;
        return isSame;
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "withResponse()": {
      run: async (host) => {
        const made = host.call(() => client(host).chat.completions.create(asked));
        const { data, response, request_id } = await made.withResponse();
        const { status, url, bodyUsed } = response;
        return { data, request_id, status, url, bodyUsed, kind: kind(response) };
      },
      calls: ["200 read"],
      // The promise itself was never asked for its outcome.
      spans: ["done|unfinished"],
    },
    "asResponse()": {
      run: async (host) => answerOf(await host.call(() => client(host).chat.completions.create(asked)).asResponse()),
      calls: ["200 read"],
      spans: ["done|unfinished"],
    },
    "asResponse() of one that is never read": {
      run: async (host) => {
        const response = await host.call(() => client(host).chat.completions.create(asked)).asResponse();
        await response.body?.cancel();
        return [response.status, response.bodyUsed];
      },
      calls: ["200 stopped"],
      spans: ["done|unfinished"],
    },
    "then, catch and finally": {
      run: async (host) => {
        const made = host.call(() => client(host).chat.completions.create(asked));
        const text = await made
          .catch(() => undefined)
          .finally(() => host.saw("finally"))
          .then((answer) => answer?.choices[0]?.message.content);
        return [text, (await made).id, kind(made.then(() => 1))];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "parse()": {
      run: async (host) => {
        const schema = { type: "json_schema" as const, json_schema: { name: "n", schema: {} } };
        const made = host.call(() => client(host).chat.completions.parse({ ...asked, response_format: schema }));
        return [kind(made), await made];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "one that nobody waits for": {
      run: (host) => kind(host.call(() => client(host).chat.completions.create(asked))),
      calls: ["200 read|200 unfinished"],
      spans: ["unfinished"],
    },
    "a stream, read": {
      run: async (host) => {
        const made = host.call(() => client(host).chat.completions.create(streamed));
        const stream = await made;
        const chunks = await all(stream);
        return { made: kind(made), stream: kind(stream), chunks, isAborted: stream.controller.signal.aborted };
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a stream, of an async function": {
      run: async (host) => {
        const made = host.call(async () => await client(host).chat.completions.create(streamed));
        const stream = await made;
        return { made: kind(made), stream: kind(stream), chunks: await all(stream) };
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a stream, withResponse()": {
      run: async (host) => {
        const { data, response } = await host.call(() => client(host).chat.completions.create(streamed)).withResponse();
        return [response.headers.get("content-type"), await all(data)];
      },
      calls: ["200 read"],
      spans: ["done|unfinished"],
    },
    "a stream, twice": {
      run: async (host) => {
        const stream = await host.call(() => client(host).chat.completions.create(streamed));
        await all(stream);
        return all(stream);
      },
      calls: ["200 read"],
      spans: ["done|error"],
    },
    "a stream, left by break": leftByBreak(
      (host) => client(host, "endless").chat.completions.create(streamed),
      (stream) => stream.controller.signal.aborted,
    ),
    "a stream, left by an error of the host": {
      run: async (host) => {
        const stream = await host.call(() => client(host, "endless").chat.completions.create(streamed));
        for await (const chunk of stream) throw new RangeError(chunk.id);
      },
      // Version 6 cancels the body before it aborts its signal.
      calls: ["200 cancelled|200 stopped"],
      spans: ["done|cancelled|stopped"],
      hangUps: 1,
    },
    "a stream, aborted": {
      run: async (host) => {
        const stream = await host.call(() => client(host, "endless").chat.completions.create(streamed));
        for await (const chunk of stream) {
          host.saw("chunk", chunk);
          stream.controller.abort();
        }
      },
      calls: ["200 cancelled"],
      spans: ["done|cancelled|stopped"],
      hangUps: 1,
    },
    "a stream, in two": {
      run: async (host) => {
        const stream = await host.call(() => client(host).chat.completions.create(streamed));
        const [left, right] = stream.tee();
        return [kind(left), ...(await Promise.all([all(left), all(right)]))];
      },
      calls: ["200 read"],
      // Version 7 bypasses the iterator that we watch.
      spans: ["done|unfinished"],
    },
    "a stream, as a ReadableStream": {
      run: async (host) => {
        const stream = await host.call(() => client(host).chat.completions.create(streamed));
        const readable = stream.toReadableStream();
        return [kind(readable), await new Response(readable).text()];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "an error in the stream": {
      run: async (host) => {
        const stream = await host.call(() => client(host, "in-stream").chat.completions.create(streamed));
        for await (const chunk of stream) host.saw("chunk", chunk);
      },
      calls: ["200 cancelled|200 error|200 stopped"],
      spans: ["done|error"],
    },
    "a stream that breaks off": breaksOff((host) => client(host, "broken").chat.completions.create(streamed)),
    "an answer that breaks off": {
      run: (host) => host.call(() => client(host, "broken", without).chat.completions.create(asked)),
      calls: ["200 error"],
      spans: ["error"],
    },
    "a 500, then an answer": {
      run: (host) => host.call(() => client(host, "once-500").chat.completions.create(asked)),
      calls: ["500 error", "200 read"],
      spans: ["done"],
    },
    "a 429, then a stream": {
      run: async (host) => all(await host.call(() => client(host, "once-429").chat.completions.create(streamed))),
      calls: ["429 error", "200 read"],
      spans: ["done"],
    },
    "a 500, always": {
      run: (host) => host.call(() => client(host, "always-500").chat.completions.create(asked)),
      calls: ["500 error", "500 error", "500 error"],
      spans: ["error"],
    },
    "a 401": {
      run: async (host) => {
        try {
          return await host.call(() => client(host, "401").chat.completions.create(asked));
        } catch (error) {
          return [error instanceof OpenAI.AuthenticationError, error instanceof OpenAI.APIError, error];
        }
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a 401 that is handled later": {
      run: async (host) => {
        const made = host.call(() => client(host, "401").chat.completions.create(asked));
        await host.until(1);
        return made.catch((error: Error) => error);
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a 401 that nobody handles": {
      run: async (host) => {
        host.call(() => client(host, "401").chat.completions.create(asked)).then(() => host.saw("answered"));
        await host.until(1);
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a 401, in an async function, that nobody handles": {
      run: async (host) => {
        host.call(async () => await client(host, "401").chat.completions.create(asked));
        await host.until(1);
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a server that is not there": {
      run: (host) => host.call(() => client(host, "refused", without).chat.completions.create(asked)),
      calls: ["0 error"],
      spans: ["error"],
    },
    "a call that is aborted before its answer": {
      run: async (host) => {
        const controller = new AbortController();
        const { signal } = controller;
        const made = host.call(() => client(host, "silent").chat.completions.create(asked, { signal }));
        host.until(1).then(() => controller.abort());
        return made;
      },
      calls: ["0 cancelled|0 error"],
      spans: ["error|cancelled"],
      hangUps: 1,
    },
    "a runner, by its events": {
      run: async (host) => {
        const runner = host.call(() => client(host).chat.completions.stream(asked));
        const shape = kind(runner);
        runner.on("connect", () => host.saw("connect"));
        runner.on("content", (delta, snapshot) => host.saw("content", [delta, snapshot]));
        runner.on("finalContent", (content) => host.saw("finalContent", content));
        runner.on("end", () => host.saw("end"));
        const final = await runner.finalChatCompletion();
        return { shape, final, ended: runner.ended, errored: runner.errored, aborted: runner.aborted };
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a runner, by its last message alone": {
      run: async (host) => {
        const runner = host.call(() => client(host).chat.completions.stream(asked));
        return [await runner.finalMessage(), await runner.finalContent(), await runner.totalUsage()];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a runner, iterated": {
      run: async (host) => all(host.call(() => client(host).chat.completions.stream(asked))),
      calls: ["200 read"],
      spans: ["done"],
    },
    "a runner, of an async function": {
      run: async (host) => {
        const runner = await host.call(async () => client(host).chat.completions.stream(asked));
        return runner.finalContent();
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a runner, left by break": {
      run: async (host) => {
        const runner = host.call(() => client(host, "endless").chat.completions.stream(asked));
        runner.on("abort", (error) => host.saw("abort", error));
        for await (const chunk of runner) {
          host.saw("chunk", chunk);
          break;
        }
        await runner.done().catch((error: Error) => host.saw("done", error));
        return [runner.aborted, runner.ended];
      },
      calls: ["200 cancelled"],
      spans: ["cancelled|stopped"],
      hangUps: 1,
    },
    "a runner, aborted": {
      run: async (host) => {
        const runner = host.call(() => client(host, "endless").chat.completions.stream(asked));
        runner.once("chunk", () => runner.abort());
        runner.on("abort", (error) => host.saw("abort", error));
        runner.on("end", () => host.saw("end"));
        await runner.finalMessage();
      },
      calls: ["200 cancelled"],
      spans: ["cancelled"],
      hangUps: 1,
    },
    "a runner whose call is refused": {
      run: async (host) => {
        const runner = host.call(() => client(host, "401").chat.completions.stream(asked));
        runner.on("error", (error) => host.saw("error", error));
        runner.on("end", () => host.saw("end"));
        await runner.done();
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a runner whose call is refused, and nobody listens": {
      run: async (host) => {
        const runner = host.call(() => client(host, "401").chat.completions.stream(asked));
        await new Promise<void>((resolve) => runner.on("end", resolve));
      },
      calls: ["401 error"],
      spans: ["error"],
    },
    "a runner, as a ReadableStream": {
      run: async (host) => {
        const readable = host.call(() => client(host).chat.completions.stream(asked)).toReadableStream();
        return [kind(readable), await new Response(readable).text()];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a response": {
      run: async (host) =>
        (await host.call(() => client(host).responses.create({ model: "model-1", input: "hi" }))).output_text,
      calls: ["200 read"],
      spans: ["done"],
    },
    "a response, streamed": {
      run: async (host) =>
        all(await host.call(() => client(host).responses.create({ model: "model-1", input: "hi", stream: true }))),
      calls: ["200 read"],
      spans: ["done"],
    },
    "a response, by events": {
      run: async (host) => {
        const runner = host.call(() => client(host).responses.stream({ model: "model-1", input: "hi" }));
        runner.on("response.output_text.delta", ({ delta, snapshot }) => host.saw("delta", [delta, snapshot]));
        runner.on("response.completed", ({ type }) => host.saw(type));
        return (await runner.finalResponse()).output_text;
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "an error in a response's stream": {
      run: async (host) => {
        const request = { model: "model-1", input: "hi", stream: true as const };
        const stream = await host.call(() => client(host, "in-stream").responses.create(request));
        for await (const event of stream) host.saw("event", event);
      },
      calls: ["200 read|200 error|200 cancelled|200 stopped"],
      spans: ["done|error"],
    },
    "a list, its pages followed": {
      run: async (host) => {
        const made = host.call(() => client(host).models.list());
        return [kind(made), await all(made)];
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a list, its first page": {
      run: async (host) => {
        const page = await host.call(() => client(host).models.list());
        return [kind(page), page.data, page.hasNextPage()];
      },
      calls: ["200 read"],
      // A page is an iterable, so its span would end with an iteration.
      spans: ["done|unfinished"],
    },
    "an answer that cannot be read twice": {
      run: async (host) => {
        const made = host.call(() => client(host).chat.completions.create(asked));
        const response = await made.asResponse();
        const text = await response.text();
        return [
          text.length > 0,
          await made.then(
            (data) => data,
            (error: Error) => error,
          ),
        ];
      },
      calls: ["200 read"],
      spans: ["done|error"],
    },
    "a promise that nobody holds while garbage is collected": {
      run: async (host) => {
        let open = (): void => {};
        const isOpen = new Promise<void>((resolve) => {
          open = resolve;
        });
        const fetch: Host["fetch"] = (input, init) => isOpen.then(() => host.fetch(input, init));
        const request = () => client({ ...host, fetch }).chat.completions.create(asked);
        const id = host.call(request).then((answer) => answer.id);
        await host.collect();
        open();
        return id;
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a stream that nobody holds while garbage is collected": {
      run: async (host) => {
        const iterate = async () =>
          (await host.call(() => client(host).chat.completions.create(streamed)))[Symbol.asyncIterator]();
        const iterator = await iterate();
        const ids = [];
        for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
          ids.push(next.value.id);
          await host.collect();
        }
        return ids;
      },
      calls: ["200 read"],
      spans: ["done"],
    },
    "a rejection that nobody handles ends the process": {
      crashes: true,
      run: async (host) => {
        const made = host.call(async () => await client(host, "401").chat.completions.create(asked));
        await host.until(1);
        return kind(made);
      },
    },
    "a runner that nobody listens to ends the process": {
      crashes: true,
      run: async (host) => {
        host.call(() => client(host, "401").chat.completions.stream(asked)).on("end", () => {});
        await host.until(1);
      },
    },
  };
}
