// Differences that stay: what can not be equal, each with its reason.

import type { Accepted } from "./differential.js";
import { ACCEPTED_HANDLERS } from "./handlers-accepted.js";
import { ACCEPTED_RESULTS } from "./results/accepted.js";

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
  ...["response.body", "consumed.used", "bodyUsed"].map((aspect) => ({
    suite: "streams",
    aspect,
    where: { consumer: "aborted unread" },
    runtimes: ["Deno"],
    reason: "Deno marks a body that is aborted unread as used where it is a stream made in JavaScript.",
  })),
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
