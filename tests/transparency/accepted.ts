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
    reason:
      "A response whose body is watched is a copy, and no constructor takes a url, a type or whether it was redirected.",
  },
  {
    aspect: "response.accessors",
    reason: "The same: the accessors of Response.prototype tell of the copy what it was made with.",
  },
  {
    aspect: "consumed.accessors",
    reason: "The same, of a clone that was made by Response.prototype.",
  },
  {
    aspect: "immutable",
    reason: "The same: only the platform makes headers that can not be changed.",
  },
  {
    aspect: "reads",
    reason:
      "A span is named by its method before the call is made, and its signal says afterwards whether the host broke off.",
  },
  {
    suite: "responses",
    aspect: "consumed",
    where: { consumer: "reads side by side" },
    runtimes: ["workerd", "old workerd"],
    reason: "workerd's own bodies take one read at a time, against the standard; a copy's takes any number.",
  },
  {
    suite: "streams",
    aspect: "consumed.waiting",
    where: { consumer: "cancelled while a read waits" },
    runtimes: ["workerd", "old workerd"],
    reason: "A read that waits when the body is cancelled fails in workerd's own bodies, and is done in a copy's.",
  },
  {
    aspect: "requests.spelling",
    reason:
      "Where headers are added to a call, a platform may send the others in another order, and in lower case; in HTTP neither says anything.",
  },
  {
    aspect: "rejected.message",
    where: { init: "revoked" },
    reason: "What a revoked proxy throws when it is asked is thrown as it is; a browser says which member it wanted.",
  },
  {
    suite: "responses",
    aspect: "consumed.during",
    where: { consumer: "blob" },
    runtimes: ["Chromium"],
    reason: "Chromium begins to read a stream that is made in JavaScript a moment after it is asked for a Blob.",
  },
  {
    suite: "respondWith",
    aspect: "requests.headers",
    runtimes: ["Chromium"],
    reason:
      "Chromium sends a page's client hints (sec-ch-ua) on from a service worker only with the page's own request as it is.",
  },
  ...rows({
    suite: "streams",
    aspects: ["response.body", "consumed.used", "bodyUsed"],
    wheres: [{ consumer: "aborted unread" }],
    runtimes: ["Node 20", "Node 22", "Deno", "Bun", "Chromium", "Firefox", "WebKit"],
    reason:
      "A platform's own body that is aborted unread is not used then; one that is a stream made in JavaScript is.",
  }),
  ...rows({
    suite: "streams",
    aspects: ["consumed.text"],
    wheres: [{ consumer: "aborted unread" }],
    runtimes: ["Node 20", "Node 22"],
    reason:
      'There Node says of an abort "The operation was aborted." or "This operation was aborted", as it notices it.',
  }),
  ...rows({
    suite: "streams",
    aspects: ["response.body", "bodyUsed"],
    wheres: [{ consumer: "aborted while text waits" }],
    runtimes: ["Bun"],
    reason: "Bun takes its own body for unused again when it has been aborted; a copy's stays used.",
  }),
  {
    suite: "responses",
    aspect: "consumed.classes",
    where: { answer: "empty", consumer: "a lock released in the middle" },
    runtimes: ["workerd"],
    reason: "workerd gives an empty buffer with the end of a byte stream that is made in JavaScript.",
  },
  ...rows({
    suite: "responses",
    aspects: ["consumed", "requests"],
    wheres: [{ answer: "not gzip", consumer: "a request of its body" }],
    runtimes: ["workerd"],
    reason: "workerd ends an upload of any stream that is made in JavaScript, and fails, as if it were whole.",
  }),
  {
    suite: "responses",
    aspect: "consumed.error",
    where: { answer: "not gzip", consumer: "clone by the prototype" },
    runtimes: ["Firefox"],
    reason: "Firefox says of a stream made in JavaScript that has failed that it was aborted, where a clone reads it.",
  },
  {
    suite: "responses",
    aspect: "consumed.piped",
    where: { answer: "not gzip", consumer: "pipeTo, aborted" },
    runtimes: ["Bun"],
    reason:
      "Bun cancels its own body without a word where that has failed; one that is a stream made in JavaScript says why it has.",
  },
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.used", "bodyUsed"],
    wheres: [{ consumer: "a response of its body" }],
    runtimes: ["Firefox"],
    reason: "Firefox takes its own body for unused after another response has read it.",
  }),
  ...rows({
    suite: "streams",
    aspects: ["consumed.text"],
    wheres: [{ consumer: "aborted while text waits" }],
    runtimes: ["WebKit"],
    reason:
      "WebKit tells of an abort as a TypeError where the body has been looked at before; a copy's as an AbortError.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["consumed.error", "bodyUsed", "response.body"],
    wheres: [{ answer: "cut short" }],
    runtimes: ["WebKit"],
    reason:
      'WebKit says "Load failed", and of a stream "TypeError: Load failed"; and that the body is used or not, as it notices it.',
  }),
  {
    suite: "responses",
    aspect: "consumed.type",
    where: { consumer: "blob" },
    runtimes: ["WebKit"],
    reason:
      "WebKit gives a blob that it reads from a stream the whole content type, and of its own body no parameters.",
  },
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.error", "bodyUsed"],
    wheres: ["cut short", "chunked, cut short"].map((answer) => ({ answer, consumer: "formData" })),
    runtimes: ["Bun"],
    reason: "Bun looks at the content type before it reads a stream, and after it has read a body of its own.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["consumed.error"],
    wheres: BROKEN.flatMap((answer) => READS.map((consumer) => ({ answer, consumer }))),
    runtimes: ["Firefox"],
    reason:
      "Firefox tells every reader that a body is cut short as if it had been aborted; what reads its own body whole is no reader.",
  }),
  ...rows({
    suite: "responses",
    aspects: ["response.body", "consumed.text", "consumed.used", "consumed.after", "bodyUsed"],
    wheres: [{ consumer: "text while it is locked" }, { consumer: "cancelled while it is locked" }],
    runtimes: ["Bun"],
    reason:
      "Bun takes its own body for used as soon as it has a reader; a copy's when it is read, as the standard has it.",
  }),
  {
    suite: "responses",
    aspect: "consumed.error",
    where: { answer: "empty", consumer: "json" },
    runtimes: ["Bun"],
    reason: "Bun says of a stream in other words than of a body of its own that an empty text is no JSON.",
  },
  {
    suite: "responses",
    aspect: "requests.headers",
    where: { consumer: "a request of its body" },
    runtimes: ["Bun"],
    reason: "Bun states the length of a body of its own that has come whole by the time it is sent on.",
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
    reason:
      "Bun derives a content type from a request's body when its headers are first looked at, which tracing does.",
  }),
  ...rows({
    suite: "idioms",
    aspects: ["response.headers"],
    wheres: ["a blob", "a form"].map((given) => ({ idiom: `a mock that gives ${given}` })),
    runtimes: ["Bun"],
    reason: "Bun forgets a content type that it has derived from a body when that is asked for; a copy keeps it.",
  }),
  ...["requests.lines", "requests.headers", "requests.spelling", "requests.bodies", "requests.complete"].map(
    (aspect) => ({
      suite: "idioms",
      aspect,
      where: { idiom: "a global fetch that tries again" },
      reason:
        "A global fetch that calls ours is called once more by it the first time, and then tries again by itself.",
    }),
  ),
];
