// One request with an upload, and what its answer says. Used by delivery.ts; what an answer means is decided in src/upload.rs.

import { hideQueries } from "../errors.js";
import { within } from "../platform/env.js";
import type { Answer } from "../platform/model.js";
import type { Settings, Transport, TransportRequest } from "../settings.js";
import { fetchTransport } from "./transport.js";
import type { Upload } from "./upload.js";

/** Characters of a refusal that are repeated in the error, */
const MAX_MESSAGE_CHARS = 300;
/** and of a media type, */
const MAX_TYPE_CHARS = 60;
/** and how long they are waited for. */
const MESSAGE_TIMEOUT_MS = 1000;

/**
 * Sends `body`, the upload's own or as it was compressed, and tells `done` of the answer: later, and once. What the transport throws is
 * an answer with status 0. `signal` is called when the transport reads it: in Node 20 to make one takes as long as two spans.
 */
export function post(
  { transport, baseUrl, requestHeaders, withoutKey }: Settings,
  { path, method, envelope, body: plain }: Upload,
  body: Uint8Array<ArrayBuffer>,
  signal: () => AbortSignal,
  done: (answer: Answer) => void,
): void {
  const isCompressed = body !== plain;
  const read = (response: Response): Answer | Promise<Answer> => {
    const status = response.type === "opaqueredirect" ? 302 : response.status;
    const headers = status < 400 ? [] : [...response.headers];
    const answer = { status, headers, message: "", cause: undefined, isCompressed };
    const type = foreignType(response, transport);
    const location = status >= 300 && status < 400 && response.headers.get("location");
    if (type || location) {
      leave(response);
      const message = type ? `this is not Opik's API: got ${type}` : withoutKey(hideQueries(`to ${location}`));
      return { ...answer, message, isForeign: status < 300 || status === 409 };
    }
    // Why a request was refused stands in its body; what is tried again needs no explanation.
    const isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429;
    if (!isRefused) {
      leave(response);
      return answer;
    }
    return firstChunk(response).then((text) => {
      leave(response);
      return { ...answer, message: withoutKey(text).slice(0, MAX_MESSAGE_CHARS).trim() };
    });
  };
  let response: Promise<Response>;
  try {
    const headers = requestHeaders(isCompressed);
    const request = { method, headers, body, redirect: "manual", envelope, [MAKE_SIGNAL]: signal };
    Object.defineProperty(request, "signal", SIGNAL);
    response = Promise.resolve(transport.fetch(baseUrl + path, request as unknown as TransportRequest));
  } catch (cause) {
    response = Promise.reject(cause);
  }
  void response.then(read).then(done, (cause) => done(noAnswer(cause)));
}

/**
 * The media type of an answer that is not Opik's, which has JSON or nothing to say; "" of any other. A transport of the host's may
 * answer with text, but not with a page. What is in the way may refuse a body for its length, or a server fail, with a page.
 */
export function foreignType({ status, headers }: Response, transport: Transport): string {
  const type = headers?.get("content-type")?.split(";", 1)[0]?.trim() ?? "";
  const isPage = /html/i.test(type);
  const isForeign = status < 300 ? isPage || (transport === fetchTransport && !/json/i.test(type)) : isPage;
  return isForeign && status < 500 && status !== 413 ? type.slice(0, MAX_TYPE_CHARS) : "";
}

/** What makes the signal of a request. */
const MAKE_SIGNAL = Symbol();
/** An own member, so that a transport may copy the request; one getter for all, or each would have a shape of its own. */
const SIGNAL: PropertyDescriptor & ThisType<{ readonly [MAKE_SIGNAL]: () => AbortSignal }> = {
  enumerable: true,
  get() {
    return this[MAKE_SIGNAL]();
  },
};

/** What stands for an answer where none came. */
export function noAnswer(cause: unknown): Answer {
  return { status: 0, headers: [], message: "", cause, isCompressed: false };
}

/** Leaves the body behind, or it would hold its connection. */
function leave({ body }: Response): void {
  if (body && !body.locked) body.cancel().catch(() => {});
}

async function firstChunk(response: Response): Promise<string> {
  // A transport may have read it itself.
  const reader = response.body?.locked ? undefined : response.body?.getReader();
  let text = "";
  const read = async (): Promise<void> => {
    text = new TextDecoder().decode((await reader?.read())?.value);
  };
  await within(MESSAGE_TIMEOUT_MS, read());
  reader?.cancel().catch(() => {});
  reader?.releaseLock();
  return text;
}
