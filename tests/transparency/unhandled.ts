// What nobody has handled, as a program's runtime tells of it.

interface Process {
  on?(event: string, listener: (reason: unknown) => void): void;
}
interface Unhandled {
  readonly type: string;
  readonly reason?: unknown;
  readonly error?: unknown;
  readonly promise?: object;
  preventDefault(): void;
}

/** A list of what nobody has handled, as it comes; what is handled later is there again. */
export function watchUnhandled(described: (reason: unknown) => unknown): unknown[] {
  const found: unknown[] = [];
  const { process, addEventListener } = globalThis as {
    process?: Process;
    addEventListener?: (event: string, listener: (event: Unhandled) => void) => void;
  };
  if (process?.on) {
    process.on("unhandledRejection", (reason) => found.push(["unhandledRejection", described(reason)]));
    process.on("rejectionHandled", () => found.push(["rejectionHandled"]));
    process.on("uncaughtException", (error) => found.push(["uncaughtException", described(error)]));
    process.on("warning", (warning) => found.push(["warning", described(warning)]));
  } else {
    const raised = new WeakSet<object>();
    for (const event of ["unhandledrejection", "rejectionhandled", "error"]) {
      addEventListener?.(event, (told) => {
        const { type, promise } = told;
        told.preventDefault();
        // Firefox tells so also of promises of its own that nobody was told of, where a response reads a stream made in JavaScript.
        if (type === "rejectionhandled" && !raised.has(promise!)) return;
        if (type === "unhandledrejection") raised.add(promise!);
        found.push([type, described(told.reason ?? told.error)]);
      });
    }
  }
  return found;
}
