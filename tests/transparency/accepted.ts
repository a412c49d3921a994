// Accepted differences: properties that cannot be equal, each with its reason.

import type { Accepted } from "./differential.js";
import { ACCEPTED_HANDLERS } from "./handlers-accepted.js";
import { ACCEPTED_RESULTS } from "./results/accepted.js";
import type { Row } from "./table.js";

/** Answers whose body does not arrive whole. */
const BROKEN = ["cut short", "chunked, cut short", "not gzip"];

/** Consumers that read a whole body through the platform's own methods. */
const READS = [
  ...["text", "json", "arrayBuffer", "bytes", "blob", "formData", "text twice"],
  ...["clone, both read", "clone, the clone first", "clone after reading", "clone of a clone"],
  ...["a response of its body", "its prototype's methods"],
];

interface Rows extends Pick<Accepted, "suite" | "runtimes" | "reason"> {
  readonly aspects: readonly string[];
  readonly wheres: readonly Row[];
}

const rows = ({ aspects, wheres, ...rest }: Rows): Accepted[] =>
  aspects.flatMap((aspect) => wheres.map((where) => ({ ...rest, aspect, where })));

export const ACCEPTED: readonly Accepted[] = [
  ...ACCEPTED_HANDLERS,
  ...ACCEPTED_RESULTS,
  {
    aspect: "response.own",
    reason: "A response with a watched body is a copy, and a constructor cannot set `url`, `type` or `redirected`.",
  },
  {
    aspect: "response.accessors",
    reason: "The same: the accessors of Response.prototype read the copy's internal state.",
  },
  {
    aspect: "consumed.accessors",
    reason: "The same, for a clone made by Response.prototype.",
  },
  {
    aspect: "immutable",
    reason: "The same: only the platform can make immutable headers.",
  },
  {
    aspect: "reads",
    reason:
      "Tracing reads the method before the call to name the span, and the signal afterwards to see if the host aborted.",
  },
  {
    suite: "responses",
    aspect: "consumed",
    where: { consumer: "reads side by side" },
    runtimes: ["workerd", "old workerd"],
    reason: "workerd's native bodies allow one read at a time, against the standard; a copy's body allows any number.",
  },
  {
    suite: "streams",
    aspect: "consumed.waiting",
    where: { consumer: "cancelled while a read waits" },
    runtimes: ["workerd", "old workerd"],
    reason:
      "When a body is cancelled, a pending read fails in workerd's native bodies, but returns `done` in a copy's body.",
  },
  {
    aspect: "requests.spelling",
    reason:
      "When headers are added to a call, a platform may reorder the others and send them in lower case. HTTP gives neither a meaning.",
  },
  {
    aspect: "rejected.message",
    where: { init: "revoked" },
    reason:
      "Tracing rethrows the error of a revoked proxy unchanged; a browser's own error names the member that it read.",
  },
  {
    suite: "responses",
    aspect: "consumed.during",
    where: { consumer: "blob" },
    runtimes: ["Chromium"],
    reason: "When asked for a Blob, Chromium starts to read a JavaScript stream a moment later.",
  },
  {
    suite: "respondWith",
    aspect: "requests.headers",
    runtimes: ["Chromium"],
    reason:
      "In a service worker, Chromium forwards a page's client hints (sec-ch-ua) only with the page's unchanged request.",
  },
  ...rows({
    suite: "streams",
    aspects: ["response.body", "consumed.used", "bodyUsed"],
    wheres: [{ consumer: "aborted unread" }],
    runtimes: ["Node 20", "Node 22", "Deno", "Bun", "Chromium", "Firefox", "WebKit"],
    reason: "After an abort, an unread native body counts as unused, but a JavaScript stream counts as used.",
  }),
  ...rows({
    suite: "streams",
    aspects: ["consumed.text"],
    wheres: [{ consumer: "aborted unread" }],
    runtimes: ["Node 20", "Node 22"],
    reason:
      'Node before 24 reports an abort as "The operation was aborted." or "This operation was aborted", depending on where it notices it.',
  }),
  ...rows({
    suite: "streams",
    aspects: ["response.body", "bodyUsed"],
    wheres: [{ consumer: "aborted while text waits" }],
    runtimes: ["Bun"],
    reason: "Bun marks its native body as unused again after an abort; a copy's body stays used.",
  }),
  {
    suite: "responses",
    aspect: "consumed.classes",
    where: { answer: "empty", consumer: "a lock released in the middle" },
    runtimes: ["workerd"],
    reason: "workerd returns an empty buffer with the end of a JavaScript byte stream.",
  },
  ...rows({
    suite: "responses",
    aspects: ["consumed", "requests"],
    wheres: [{ answer: "not gzip", consumer: "a request of its body" }],
    runtimes: ["workerd"],
    reason: "When a JavaScript stream fails during an upload, workerd ends the upload as if it were complete.",
  }),
  {
    suite: "responses",
    aspect: "consumed.error",
    where: { answer: "not gzip", consumer: "clone by the prototype" },
    runtimes: ["Firefox"],
    reason: "When a clone reads a JavaScript stream that has failed, Firefox reports an abort.",
  },
  {
    suite: "responses",
    aspect: "consumed.piped",
    where: { answer: "not gzip", consumer: "pipeTo, aborted" },
    runtimes: ["Bun"],
    reason: "Bun cancels a failed native body silently; a JavaScript stream reports why it failed.",
  },
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.used", "bodyUsed"],
    wheres: [{ consumer: "a response of its body" }],
    runtimes: ["Firefox"],
    reason: "Firefox marks its native body as unused after another response has read it.",
  }),
  ...rows({
    suite: "streams",
    aspects: ["consumed.text"],
    wheres: [{ consumer: "aborted while text waits" }],
    runtimes: ["WebKit"],
    reason: "If `body` was accessed before, WebKit reports an abort as a TypeError; with a copy as an AbortError.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["consumed.error", "bodyUsed", "response.body"],
    wheres: [{ answer: "cut short" }],
    runtimes: ["WebKit"],
    reason:
      'WebKit says "Load failed", and for a stream "TypeError: Load failed". `bodyUsed` depends on when it notices the failure.',
  }),
  {
    suite: "responses",
    aspect: "consumed.type",
    where: { consumer: "blob" },
    runtimes: ["WebKit"],
    reason:
      "In WebKit, a blob read from a stream has the whole content type; a blob of a native body lacks the parameters.",
  },
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.error", "bodyUsed"],
    wheres: ["cut short", "chunked, cut short"].map((answer) => ({ answer, consumer: "formData" })),
    runtimes: ["Bun"],
    reason: "Bun checks the content type before it reads a stream, but after it has read a native body.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["consumed.error"],
    wheres: BROKEN.flatMap((answer) => READS.map((consumer) => ({ answer, consumer }))),
    runtimes: ["Firefox"],
    reason:
      "Firefox reports a truncated body to every reader as an abort; methods that read a native body whole use no reader.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.text", "consumed.used", "consumed.after", "bodyUsed"],
    wheres: [{ consumer: "text while it is locked" }, { consumer: "cancelled while it is locked" }],
    runtimes: ["Bun"],
    reason:
      "Bun marks its native body as used once it has a reader; a copy's body once it is read, as the standard says.",
  }),
  {
    suite: "responses",
    aspect: "consumed.error",
    where: { answer: "empty", consumer: "json" },
    runtimes: ["Bun"],
    reason: "Bun's message for empty JSON differs between a stream and a native body.",
  },
  {
    suite: "responses",
    aspect: "requests.headers",
    where: { consumer: "a request of its body" },
    runtimes: ["Bun"],
    reason: "Bun sends a length with a native body that has arrived completely before it is forwarded.",
  },
  {
    suite: "calls",
    aspect: "requests.headers",
    where: { referrer: "own page" },
    runtimes: ["Node 20", "Node 22"],
    reason: "Node before 24 sends the referrer of a request, unless an init goes with it.",
  },
  ...rows({
    suite: "calls",
    aspects: ["used"],
    wheres: ["Blob with a type", "File", "FormData", "URLSearchParams"].map((body) => ({ body })),
    runtimes: ["Bun"],
    reason: "Bun derives a content type from a request's body when its headers are first read, and tracing reads them.",
  }),
  ...rows({
    suite: "idioms",
    aspects: ["response.headers"],
    wheres: ["a blob", "a form"].map((given) => ({ idiom: `a mock that gives ${given}` })),
    runtimes: ["Bun"],
    reason: "Bun drops a content type that it derived from a body once `body` is read; a copy keeps it.",
  }),
  ...["requests.lines", "requests.headers", "requests.spelling", "requests.bodies", "requests.complete"].map(
    (aspect) => ({
      suite: "idioms",
      aspect,
      where: { idiom: "a global fetch that tries again" },
      reason:
        "Our fetch calls the global fetch. A global fetch that calls ours and retries therefore runs once more, inside its first call.",
    }),
  ),
];
