// Checks that the runtime has the features that tracing needs.

import { hasAsyncContext, prepareAsyncContext } from "../platform/context.js";
import { getCore } from "../platform/core.js";
import { isBrowser, isServer, now } from "../platform/env.js";
import { hasPlatformWaitUntil } from "../platform/wait-until.js";
import { type Finding, note, ok, problem } from "./finding.js";

/** Checks the current runtime. */
export async function examineRuntime(): Promise<Finding[]> {
  await prepareAsyncContext();
  return [examineCore(), examineContext(), await examineFlush(), examineClock(), examineStreams()];
}

function examineCore(): Finding {
  const check = "core";
  try {
    getCore().mint(now());
    return ok(check, "WebAssembly runs, and there are random bytes");
  } catch (error) {
    const { message } = error as Error;
    return problem(
      check,
      message,
      "in a page allow 'wasm-unsafe-eval' in script-src; in a Worker call this inside a handler",
    );
  }
}

function examineContext(): Finding {
  const check = "nesting";
  if (hasAsyncContext()) return ok(check, "spans find their parent automatically (AsyncLocalStorage)");
  const found = "a span is current only until the first await: there is no AsyncLocalStorage";
  if (isBrowser()) return note(check, found, "pass spans explicitly: browsers have no AsyncLocalStorage");
  return note(
    check,
    found,
    "in a Worker set compatibility_date to 2026-08-04 or later, or the flag nodejs_als (RPC needs either), or pass spans explicitly",
  );
}

async function examineFlush(): Promise<Finding> {
  const check = "flush";
  if (isBrowser()) return ok(check, "in the background, and when the page is hidden");
  if (await hasPlatformWaitUntil()) return ok(check, "after each request, in the platform's waitUntil");
  if (isServer()) return ok(check, "in the background every two seconds, and when the process ends");
  return note(check, "only the handler has a waitUntil", "use withOpik, or call flush() in ctx.waitUntil");
}

/** Number of reads of the clock: a few ms of work on any machine. */
const MAX_LOOKS = 2_000_000;

function examineClock(): Finding {
  const check = "clock";
  const start = now();
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) if (now() !== start) return ok(check, "it moves while code runs");
  return note(
    check,
    "it moves only at I/O, as in Cloudflare's data centers",
    "expect 0 ms of spans around pure computation",
  );
}

function examineStreams(): Finding {
  const check = "streams";
  try {
    new ReadableStream({ type: "bytes" });
    return ok(check, "bytes are watched as bytes");
  } catch {
    return note(
      check,
      "there are no byte streams",
      "nothing: bodies are watched all the same, except for readers with their own buffers",
    );
  }
}
