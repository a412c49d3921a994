// `@anthropic-ai/sdk`.

import Anthropic from "@anthropic-ai/sdk";
import type { Cases, Host } from "./case.js";
import { all, answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";
import { breaksOff, leftByBreak } from "./stream-cases.js";

const asked = { model: "model-1", max_tokens: 100, messages: [{ role: "user" as const, content: "Say hello" }] };
const streamed = { ...asked, stream: true as const };
const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok", options: object = {}) =>
  new Anthropic({ apiKey: "key", baseURL: url(behaviour), fetch, maxRetries: 2, ...options });

export const cases: Cases = {
  "a message": {
    run: async (host) => {
      const made = host.call(() => client(host).messages.create(asked));
      const answer = await made;
      return [kind(made), answer, answer._request_id];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "withResponse()": {
    run: async (host) => {
      const made = host.call(() => client(host).messages.create(asked));
      const { data, response, request_id } = await made.withResponse();
      return [data, response.status, response.url, request_id];
    },
    calls: ["200 read"],
    spans: ["done|unfinished"],
  },
  "asResponse()": {
    run: async (host) => answerOf(await host.call(() => client(host).messages.create(asked)).asResponse()),
    calls: ["200 read"],
    spans: ["done|unfinished"],
  },
  "a stream, read": {
    run: async (host) => {
      const stream = await host.call(() => client(host).messages.create(streamed));
      return [kind(stream), await all(stream), stream.controller.signal.aborted];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, of an async function": {
    run: async (host) => all(await host.call(async () => await client(host).messages.create(streamed))),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, left by break": leftByBreak(
    (host) => client(host, "endless").messages.create(streamed),
    (stream) => stream.controller.signal.aborted,
  ),
  "a stream, in two": {
    run: async (host) => {
      const [left, right] = (await host.call(() => client(host).messages.create(streamed))).tee();
      return Promise.all([all(left), all(right)]);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a stream, as a ReadableStream": {
    run: async (host) => {
      const stream = await host.call(() => client(host).messages.create(streamed));
      return new Response(stream.toReadableStream()).text();
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "an error in the stream": {
    run: async (host) => {
      const stream = await host.call(() => client(host, "in-stream").messages.create(streamed));
      for await (const event of stream) host.saw("event", event);
    },
    calls: ["200 cancelled|200 error|200 stopped"],
    spans: ["done|error"],
  },
  "a stream that breaks off": breaksOff((host) => client(host, "broken").messages.create(streamed)),
  "a 500, then an answer": {
    run: (host) => host.call(() => client(host, "once-500").messages.create(asked)),
    calls: ["500 error", "200 read"],
    spans: ["done"],
  },
  "a 429, then a stream": {
    run: async (host) => all(await host.call(() => client(host, "once-429").messages.create(streamed))),
    calls: ["429 error", "200 read"],
    spans: ["done"],
  },
  "a 401": {
    run: async (host) => {
      try {
        return await host.call(() => client(host, "401").messages.create(asked));
      } catch (error) {
        return [error instanceof Anthropic.AuthenticationError, error];
      }
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a 401 that nobody handles": {
    run: async (host) => {
      host.call(() => client(host, "401").messages.create(asked)).then(() => host.saw("answered"));
      await host.until(1);
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a server that is not there": {
    run: (host) => host.call(() => client(host, "refused", { maxRetries: 0 }).messages.create(asked)),
    calls: ["0 error"],
    spans: ["error"],
  },
  "a runner, by its events": {
    run: async (host) => {
      const runner = host.call(() => client(host).messages.stream(asked));
      const shape = kind(runner);
      runner.on("connect", () => host.saw("connect"));
      runner.on("text", (delta, snapshot) => host.saw("text", [delta, snapshot]));
      runner.on("contentBlock", (block) => host.saw("contentBlock", block));
      runner.on("end", () => host.saw("end"));
      const final = await runner.finalMessage();
      return { shape, final, ended: runner.ended, errored: runner.errored, aborted: runner.aborted };
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, by its final text alone": {
    run: (host) => host.call(() => client(host).messages.stream(asked)).finalText(),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, by done()": {
    run: async (host) => {
      const runner = host.call(() => client(host).messages.stream(asked));
      await runner.done();
      return [runner.messages, runner.receivedMessages, runner.ended];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, by one event": {
    run: async (host) => {
      const runner = host.call(() => client(host).messages.stream(asked));
      const message = await runner.emitted("message");
      await runner.done();
      return message;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, iterated": {
    run: async (host) => {
      const runner = host.call(() => client(host).messages.stream(asked));
      return [await all(runner), await runner.finalMessage()];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, by its iterator": {
    run: async (host) => {
      const runner = host.call(() => client(host, "endless").messages.stream(asked));
      const iterator = runner[Symbol.asyncIterator]();
      const steps = [await iterator.next(), await iterator.next()].map(({ value }) => value.type);
      host.saw("returned", await iterator.return?.());
      await runner.done().catch((error: Error) => host.saw("done", error));
      return [kind(iterator), steps];
    },
    calls: ["200 cancelled"],
    spans: ["cancelled|stopped"],
    hangUps: 1,
  },
  "a runner, withResponse()": {
    run: async (host) => {
      const made = await host.call(() => client(host).messages.stream(asked)).withResponse();
      return [kind(made.data), made.request_id, made.response.status, await made.data.finalText()];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, as a ReadableStream": {
    run: async (host) => {
      const readable = host.call(() => client(host).messages.stream(asked)).toReadableStream();
      return [kind(readable), await new Response(readable).text()];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, of an async function": {
    run: async (host) => (await host.call(async () => client(host).messages.stream(asked))).finalText(),
    calls: ["200 read"],
    spans: ["done"],
  },
  "a runner, aborted": {
    run: async (host) => {
      const runner = host.call(() => client(host, "endless").messages.stream(asked));
      runner.once("streamEvent", () => runner.abort());
      runner.on("abort", (error) => host.saw("abort", error));
      runner.on("end", () => host.saw("end"));
      await runner.finalMessage();
    },
    calls: ["200 cancelled"],
    spans: ["cancelled"],
    hangUps: 1,
  },
  "a runner, aborted by its controller": {
    run: async (host) => {
      const runner = host.call(() => client(host, "endless").messages.stream(asked));
      runner.once("streamEvent", () => runner.controller.abort());
      await runner.done().catch((error: Error) => host.saw("done", error));
      return [runner.aborted, runner.errored, runner.ended];
    },
    calls: ["200 cancelled"],
    spans: ["cancelled"],
    hangUps: 1,
  },
  "a runner, left by break": {
    run: async (host) => {
      const runner = host.call(() => client(host, "endless").messages.stream(asked));
      for await (const event of runner) {
        host.saw("event", event);
        break;
      }
      await runner.done().catch((error: Error) => host.saw("done", error));
      return [runner.aborted, runner.ended];
    },
    calls: ["200 cancelled"],
    spans: ["cancelled|stopped"],
    hangUps: 1,
  },
  "a runner with an error in its stream": {
    run: async (host) => {
      const runner = host.call(() => client(host, "in-stream").messages.stream(asked));
      runner.on("error", (error) => host.saw("error", error));
      runner.on("end", () => host.saw("end"));
      await runner.finalMessage();
    },
    calls: ["200 cancelled|200 error|200 stopped"],
    spans: ["error"],
  },
  "a runner whose call is refused": {
    run: async (host) => {
      const runner = host.call(() => client(host, "401").messages.stream(asked));
      runner.on("error", (error) => host.saw("error", error));
      runner.on("end", () => host.saw("end"));
      await runner.done();
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a runner whose call is refused, and nobody listens": {
    run: async (host) => {
      const runner = host.call(() => client(host, "401").messages.stream(asked));
      await new Promise<void>((resolve) => runner.on("end", resolve));
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a runner that nobody looks at": {
    run: async (host) => {
      const runner = host.call(() => client(host).messages.stream(asked));
      await host.until(1);
      return kind(runner);
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "a list, its pages followed": {
    run: async (host) => {
      const made = host.call(() => client(host).models.list());
      return [kind(made), await all(made)];
    },
    calls: ["200 read", "200 read"],
    spans: ["done"],
  },
  "a runner that nobody listens to ends the process": {
    crashes: true,
    run: async (host) => {
      host.call(() => client(host, "401").messages.stream(asked)).on("end", () => {});
      await host.until(1);
    },
  },
};
