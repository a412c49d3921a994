// Node streams. Their listeners are counted, because a listener changes the behaviour of a stream.

import { Lacks } from "../table.js";
import { builtin, type Family, type Given, type Host, macrotask, type Result, type Use } from "./host.js";

const stream = (): Given => (builtin("stream")?.Readable ? builtin("stream") : lack("node:stream"));
const lack = (name: string): never => {
  throw new Lacks(name);
};

/** Notes the events of a stream until it is closed, or done if it does not close automatically. */
async function closed(given: Given, host: Host): Promise<unknown> {
  for (const event of ["end", "finish", "error", "close"]) {
    given.on(event, (...args: unknown[]) => host.note(`on ${event}`, ...args));
  }
  const isDone = (): boolean => given.readableEnded !== false && given.writableFinished !== false;
  const { autoDestroy, emitClose } = given._readableState ?? given._writableState ?? {};
  const closes = autoDestroy && emitClose;
  const isOver = (): boolean => given.closed || (!closes && isDone());
  while (!isOver()) await macrotask();
  await macrotask();
  await macrotask();
  return [given.closed, given.destroyed, host.describe(given.errored)];
}

/** Writes to a duplex stream, so that it has something to read. */
function feed(given: Given): void {
  if (typeof given.write === "function" && given.writable) given.end("written");
}

function sink(host: Host): Given {
  return new (stream().Writable)({
    objectMode: true,
    write(chunk: unknown, _: string, callback: () => void) {
      host.note("written", chunk);
      callback();
    },
  });
}

const uses: Record<string, Use> = {
  "not used": () => null,
  "on data": async (given, host) => {
    given.on("data", (chunk: unknown) => host.note("data", chunk));
    feed(given);
    return closed(given, host);
  },
  "on readable": async (given, host) => {
    given.on("readable", () => {
      for (let chunk = given.read(); chunk !== null; chunk = given.read()) host.note("read", chunk);
    });
    feed(given);
    return closed(given, host);
  },
  "for await": async (given, host) => {
    feed(given);
    return host.outcome(async () => {
      const chunks: unknown[] = [];
      for await (const chunk of given) chunks.push(chunk);
      return chunks;
    });
  },
  "for await, left": async (given, host) => {
    feed(given);
    return host.outcome(async () => {
      for await (const chunk of given) return chunk;
    });
  },
  pipe: async (given, host) => {
    if (given.destroyed) return "is destroyed";
    feed(given);
    const target = sink(host);
    given.on("error", (error: unknown) => (host.note("error", error), target.destroy()));
    const isTarget = given.pipe(target) === target;
    return [isTarget, await closed(target, host)];
  },
  pipeline: async (given, host) => {
    if (!given.read) return "is not to be read";
    feed(given);
    return host.outcome(() => builtin("stream/promises").pipeline(given, sink(host)));
  },
  "written to": async (given, host) => {
    given.on("error", (error: unknown) => host.note("error", error));
    const answers = [given.write("one"), given.end("two")];
    given.resume?.();
    return [answers.map((answer) => answer === given || answer), await closed(given, host)];
  },
  destroyed: async (given, host) => {
    const over = closed(given, host);
    return [given.destroy() === given, await over];
  },
  "destroyed with an error": async (given, host) => {
    const over = closed(given, host);
    given.destroy(host.name(new RangeError("the host's error"), "error"));
    return over;
  },
  "destroyed with an error that nobody handles": async (given, host) => {
    given.on("close", () => host.note("close"));
    given.destroy(host.name(new RangeError("the host's error"), "error"));
    await macrotask();
    await macrotask();
    return null;
  },
  "aborted by a signal": async (given, host) => {
    const controller = new AbortController();
    stream().addAbortSignal(controller.signal, given);
    const over = closed(given, host);
    controller.abort();
    return over;
  },
  finished: async (given, host) => {
    given.resume?.();
    feed(given);
    return host.outcome(() => builtin("stream/promises").finished(given));
  },
  toArray: (given, host) => {
    feed(given);
    return host.outcome(() => given.toArray());
  },
  toWeb: async (given, host) => {
    feed(given);
    const web = given.constructor.toWeb ? stream().Readable.toWeb(given) : lack("toWeb");
    return host.outcome(async () => {
      const chunks: unknown[] = [];
      for await (const chunk of web) chunks.push(typeof chunk === "object" ? new TextDecoder().decode(chunk) : chunk);
      return chunks;
    });
  },
  "encoding set": async (given, host) => {
    given.setEncoding("latin1");
    given.on("data", (chunk: unknown) => host.note("data", chunk));
    feed(given);
    return closed(given, host);
  },
  listeners: (given) => {
    const counts = ["data", "readable", "error", "end", "finish"].map((event) => [event, given.listenerCount(event)]);
    return { counts, flowing: given.readableFlowing, reading: given.readableDidRead, names: given.eventNames().length };
  },
};

const reading = { "not used": "unfinished", listeners: "unfinished" } as const;

/** A stream whose chunks belong to the host. */
const readable = (host: Host, options: object = {}): Given => {
  let count = 0;
  return new (stream().Readable)({
    read(this: Given) {
      count += 1;
      this.push(count > 2 ? null : host.own((globalThis as Given).Buffer.from(`chunk ${count}`), `chunk ${count}`));
    },
    ...options,
  });
};

const streams: Record<string, (host: Host) => unknown> = {
  Readable: (host) => readable(host),
  "Readable of objects": (host) => stream().Readable.from([host.name({ n: 1 }, "1"), host.name({ n: 2 }, "2")]),
  "Readable of an async generator": (host) =>
    stream().Readable.from(
      (async function* () {
        try {
          yield "one";
          yield "two";
        } finally {
          host.note("finally");
        }
      })(),
    ),
  "Readable that fails": (host) => {
    let isBegun = false;
    return readable(host, {
      read(this: Given) {
        if (isBegun) this.destroy(host.name(new RangeError("the stream's error"), "the stream's error"));
        else this.push("chunk");
        isBegun = true;
      },
    });
  },
  "Readable that stays open": (host) => readable(host, { autoDestroy: false, emitClose: false }),
  Writable: (host) => sink(host),
  Duplex: (host) =>
    new (stream().Duplex)({
      read(this: Given) {
        this.push("read");
        this.push(null);
      },
      write(chunk: unknown, _: string, callback: () => void) {
        host.note("written", chunk);
        callback();
      },
    }),
  Transform: () =>
    new (stream().Transform)({
      transform(chunk: Given, _: string, callback: (error: unknown, chunk: unknown) => void) {
        callback(null, String(chunk).toUpperCase());
      },
    }),
  PassThrough: () => new (stream().PassThrough)(),
  "a class of its own": (host) => {
    const { Readable } = stream() as { Readable: Given };
    class Own extends Readable {
      readonly #host = host;
      reads = 0;
      _read(): void {
        this.#host.note("_read");
        (this as Given).push(this.reads === 1 ? null : "own");
        this.reads += 1;
      }
    }
    return new Own();
  },
  "a class of its own, as in ES5": (host) => {
    const { Readable } = stream();
    function Old(this: Given) {
      Readable.call(this);
    }
    builtin("util").inherits(Old, Readable);
    Old.prototype._read = function (this: Given) {
      host.note("_read");
      this.push(null);
    };
    return new (Old as Given)();
  },
  destroyed: () => new (stream().Readable)({ read() {} }).on("error", () => {}).destroy(),
};

const results: Record<string, Result> = {
  ...Object.fromEntries(
    Object.entries(streams).map(([name, make]): [string, Result] => [
      name,
      {
        make(host) {
          const given = make(host) as Given;
          host.after(() => given.on("error", () => {}).destroy());
          return host.name(given, "value given");
        },
        ends: name === "destroyed" ? "at once" : "any",
      },
    ]),
  ),
  "stream of a file": {
    async prepare(host) {
      const fs = builtin("fs");
      const file = (globalThis as Given).process?.argv?.[1];
      if (!fs?.createReadStream || !file || "Deno" in globalThis) throw new Lacks("files");
      return () => {
        const given = fs.createReadStream(file, { end: 9 });
        host.after(() => given.destroy());
        return given;
      };
    },
    make: (host, open) => host.name(open(), "value given"),
    ends: "any",
  },
  "answer to a request": {
    async prepare(host) {
      const http = builtin("http");
      if (!http?.request || !(globalThis as Given).process?.versions?.node) throw new Lacks("node:http");
      if ((globalThis as Given).navigator?.userAgent?.includes("Cloudflare")) throw new Lacks("node:http");
      return new Promise((resolve, reject) => {
        const request = http.get(`${host.url}text`, resolve).on("error", reject);
        host.after(() => request.destroy());
      });
    },
    make: (host, answer) => host.name(answer, "value given"),
    ends: "any",
  },
};

export const NODE_STREAMS: Family = { results, uses, ends: reading };
