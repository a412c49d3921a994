// Sends one upload in a request, and reads the answer. Used by delivery.ts; src/upload.rs decides what an answer means.

import { hideQueries } from "../errors.js";
import { within } from "../platform/env.js";
import type { Answer } from "../platform/model.js";
import type { Settings, Transport, TransportRequest } from "../settings.js";
import { fetchTransport } from "./transport.js";
import type { Upload } from "./upload.js";

/** Longest refusal that an error quotes, in characters. */
const MAX_MESSAGE_CHARS = 300;
/** Longest media type that an error quotes, in characters. */
const MAX_TYPE_CHARS = 60;
/** Longest wait for the text of a refusal. */
const MESSAGE_TIMEOUT_MS = 1000;

/**
 * Sends `body`, which is the upload's body or its compressed form. Calls `done` with the answer once, asynchronously. If
 * the transport throws, the answer has status 0. `signal` is called only when the transport reads it, because creating a
 * signal takes as long as two spans in Node 20.
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
    // The body of a refusal says why; answers that lead to a retry need no explanation.
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
 * The media type of an answer that does not come from Opik, which answers with JSON or an empty body; "" for other answers.
 * A host's transport may answer with text, but not with HTML. HTML with status 413 or 5xx is not foreign, since a proxy or
 * a failing server may send it.
 */
export function foreignType({ status, headers }: Response, transport: Transport): string {
  const type = headers?.get("content-type")?.split(";", 1)[0]?.trim() ?? "";
  const isPage = /html/i.test(type);
  const isForeign = status < 300 ? isPage || (transport === fetchTransport && !/json/i.test(type)) : isPage;
  return isForeign && status < 500 && status !== 413 ? type.slice(0, MAX_TYPE_CHARS) : "";
}

/** The key of the function that creates a request's signal. */
const MAKE_SIGNAL = Symbol();
/** Enumerable, so that a transport can copy the request. All requests share one getter, so that they share one shape. */
const SIGNAL: PropertyDescriptor & ThisType<{ readonly [MAKE_SIGNAL]: () => AbortSignal }> = {
  enumerable: true,
  get() {
    return this[MAKE_SIGNAL]();
  },
};

/** The answer for a request that got no response. */
export function noAnswer(cause: unknown): Answer {
  return { status: 0, headers: [], message: "", cause, isCompressed: false };
}

/** Cancels the body, which would otherwise hold its connection. */
function leave({ body }: Response): void {
  if (body && !body.locked) body.cancel().catch(() => {});
}

async function firstChunk(response: Response): Promise<string> {
  // The transport may have read the body itself.
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
