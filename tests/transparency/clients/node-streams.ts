// Node streams as results of a host's function.

import { once } from "node:events";
import { PassThrough, pipeline as pipe, Readable, Transform, Writable } from "node:stream";
import { buffer, text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import type { Cases, Host } from "./case.js";
import { all, kind } from "./harness.js";

const parts = ["one ", "two ", "three"];
const words = (): Readable => Readable.from(parts.map((part) => Buffer.from(part)));
/** Gives one chunk, then nothing until it is destroyed. */
const endless = (): Readable => {
  const stream = new Readable({ read() {} });
  stream.push("one ");
  return stream;
};
/** Gives one chunk, and fails at the next read. */
const failing = (): Readable => {
  let isBegun = false;
  return new Readable({
    read() {
      if (isBegun) this.destroy(new RangeError("broken"));
      else this.push("one ");
      isBegun = true;
    },
  });
};
/** Collects the written chunks. */
const sink = (): Writable & { written: string } =>
  Object.assign(
    new Writable({
      write(chunk, _encoding, done) {
        (this as unknown as { written: string }).written += String(chunk);
        done();
      },
    }),
    { written: "" },
  );

/**
 * Only the classes are compared. The members include the number of listeners, which tracing may raise by two (`close`,
 * `errorMonitor`).
 */
const classes = (stream: Readable): unknown => (kind(stream) as { classes: unknown }).classes;
const listeners = (stream: Readable): number[] =>
  ["error", "data", "end", "readable", "finish", "drain"].map((name) => stream.listenerCount(name));

/** Notes the events of a stream in their order. */
function events(stream: Readable | Writable, { saw }: Host): void {
  for (const name of ["end", "finish", "close"]) stream.on(name, () => saw(name));
  stream.on("error", (error) => saw("error", error));
}

export const cases: Cases = {
  "its kind and its listeners": {
    run: async ({ call }) => {
      const made = words();
      const stream = call(() => made);
      const before = [
        stream === made,
        classes(stream),
        listeners(stream),
        stream.readableFlowing,
        stream.readableLength,
      ];
      return [before, await text(stream)];
    },
    spans: ["done"],
  },
  pipe: {
    run: async (host) => {
      const stream = host.call(words);
      const target = sink();
      events(stream, host);
      await once(stream.pipe(target), "finish");
      return target.written;
    },
    spans: ["done"],
  },
  "on data": {
    run: async (host) => {
      const stream = host.call(words);
      events(stream, host);
      stream.on("data", (chunk) => host.saw("data", String(chunk)));
      await once(stream, "close");
    },
    spans: ["done"],
  },
  "on readable": {
    run: async (host) => {
      const stream = host.call(words);
      stream.on("readable", () => {
        for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) host.saw("chunk", String(chunk));
      });
      await once(stream, "end");
    },
    spans: ["done"],
  },
  "on data, later": {
    run: async (host) => {
      const stream = host.call(words);
      await host.turns();
      stream.setEncoding("utf8").on("data", (chunk) => host.saw("data", chunk));
      await once(stream, "end");
    },
    spans: ["done"],
  },
  "pause and resume": {
    run: async (host) => {
      const stream = host.call(words);
      stream.on("data", (chunk) => {
        host.saw("data", String(chunk));
        stream.pause();
        setImmediate(() => stream.resume());
      });
      await once(stream, "end");
    },
    spans: ["done"],
  },
  "for await": {
    run: ({ call }) => all(call(words)).then((chunks) => chunks.map(String)),
    spans: ["done"],
  },
  "for await, left by break": {
    run: async (host) => {
      const stream = host.call(endless);
      events(stream, host);
      for await (const chunk of stream) {
        host.saw("chunk", String(chunk));
        break;
      }
      await host.turns();
      return [stream.destroyed, stream.readableAborted];
    },
    spans: ["stopped|cancelled"],
  },
  "pipeline, awaited": {
    run: async ({ call }) => {
      const target = sink();
      await pipeline(call(words), new PassThrough(), target);
      return target.written;
    },
    spans: ["done"],
  },
  "pipeline, with a callback": {
    run: async ({ call }) => {
      const target = sink();
      await new Promise<void>((resolve, reject) => {
        pipe(call(words), target, (error) => (error ? reject(error) : resolve()));
      });
      return target.written;
    },
    spans: ["done"],
  },
  "pipeline that fails": {
    run: ({ call }) => pipeline(call(failing), sink()),
    spans: ["error"],
  },
  "destroy()": {
    run: async (host) => {
      const stream = host.call(endless);
      events(stream, host);
      stream.destroy();
      await once(stream, "close");
      return [stream.destroyed, stream.errored];
    },
    spans: ["stopped|cancelled"],
  },
  "destroy() with an error": {
    run: async (host) => {
      const stream = host.call(endless);
      events(stream, host);
      stream.destroy(new RangeError("broken"));
      await host.turns();
    },
    spans: ["error"],
  },
  "an aborted signal": {
    run: async (host) => {
      const controller = new AbortController();
      const { signal } = controller;
      const stream = host.call(() => new Readable({ read() {}, signal }));
      events(stream, host);
      controller.abort();
      await host.turns();
    },
    spans: ["cancelled"],
  },
  "one that fails": {
    run: async (host) => {
      const stream = host.call(failing);
      events(stream, host);
      stream.on("data", (chunk) => host.saw("data", String(chunk)));
      await host.turns();
    },
    spans: ["error"],
  },
  "one that has ended": {
    run: async ({ call }) => {
      const stream = words();
      const read = await text(stream);
      return [read, call(() => stream) === stream];
    },
    spans: ["done"],
  },
  "one that nobody reads": {
    run: ({ call }) => classes(call(words)),
    spans: ["unfinished"],
  },
  "one of an async function": {
    run: ({ call }) => call(async () => words()).then(text),
    spans: ["done"],
  },
  "one of objects": {
    run: ({ call }) => call(() => Readable.from([{ a: 1 }, { a: 2 }])).toArray(),
    spans: ["done"],
  },
  "its helpers": {
    run: ({ call }) =>
      call(words)
        .map((chunk) => String(chunk).trim())
        .filter((word) => word !== "two")
        .toArray(),
    spans: ["done"],
  },
  "a transform": {
    run: async ({ call }) => {
      const upper = new Transform({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) });
      const stream = call(() => words().pipe(upper));
      return String(await buffer(stream));
    },
    spans: ["done"],
  },
  "a transform that is written to": {
    run: async (host) => {
      const stream = host.call(() => new PassThrough());
      stream.on("data", (chunk) => host.saw("data", String(chunk)));
      events(stream, host);
      for (const part of parts) stream.write(part);
      stream.end();
      await once(stream, "close");
    },
    spans: ["done"],
  },
  "a writable": {
    run: async (host) => {
      const stream = host.call(sink);
      events(stream, host);
      stream.write("a");
      stream.end("b");
      await once(stream, "finish");
      return stream.written;
    },
    spans: ["done"],
  },
  "the web's stream of it": {
    run: async ({ call }) => {
      const stream = call(() => Readable.toWeb(words()) as ReadableStream);
      return [kind(stream), await new Response(stream).text()];
    },
    spans: ["done"],
  },
  "an error that nobody listens to ends the process": {
    crashes: true,
    run: async ({ call, turns }) => {
      call(endless).destroy(new RangeError("broken"));
      await turns();
    },
  },
  "an error while it is read that nobody listens to ends the process": {
    crashes: true,
    run: async ({ call, turns }) => {
      call(failing).on("data", () => {});
      await turns();
    },
  },
  "an error of a stream of an async function ends the process": {
    crashes: true,
    run: async ({ call, turns }) => {
      const stream = await call(async () => endless());
      stream.destroy(new RangeError("broken"));
      await turns();
    },
  },
  "an error of a writable that nobody listens to ends the process": {
    crashes: true,
    run: async ({ call, turns }) => {
      call(sink).destroy(new RangeError("broken"));
      await turns();
    },
  },
};
