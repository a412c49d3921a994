// What nobody has handled, as a program's runtime tells of it.

interface Process {
  on?(event: string, listener: (reason: unknown) => void): void;
}
interface Unhandled {
  readonly type: string;
  readonly reason?: unknown;
  readonly error?: unknown;
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
    for (const event of ["unhandledrejection", "rejectionhandled", "error"]) {
      addEventListener?.(event, (raised) => {
        raised.preventDefault();
        // Firefox tells so of promises of its own, where a stream is piped or a response reads one made in JavaScript.
        if (event === "rejectionhandled" && navigator.userAgent.includes("Firefox/")) return;
        found.push([raised.type, described(raised.reason ?? raised.error)]);
      });
    }
  }
  return found;
}
