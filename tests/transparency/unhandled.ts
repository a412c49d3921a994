// Collects unhandled rejections and errors as each runtime reports them.

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

/** A list that grows with each unhandled rejection, error or warning, and with each rejection that is handled later. */
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
        // Firefox also reports internal promises that were never unhandled, when a response reads a JavaScript stream.
        if (type === "rejectionhandled" && !raised.has(promise!)) return;
        if (type === "unhandledrejection") raised.add(promise!);
        found.push([type, described(told.reason ?? told.error)]);
      });
    }
  }
  return found;
}
