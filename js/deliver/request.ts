// One request with an upload, and what its answer says. Used by delivery.ts; what an answer means is decided in src/upload.rs.

import { within } from "../platform/env.js";
import type { Answer } from "../platform/model.js";
import type { Settings } from "../settings.js";
import type { Upload } from "./upload.js";

/** Characters of a refusal that are repeated in the error, */
const MAX_MESSAGE_CHARS = 300;
/** and how long they are waited for. */
const MESSAGE_TIMEOUT_MS = 1000;

/** Sends `body`, the upload's own or as it was compressed. Never rejects: what the transport throws is an answer with status 0. */
export async function post(
  { transport, baseUrl, requestHeaders, withoutKey }: Settings,
  { path, method, envelope, body: plain }: Upload,
  body: Uint8Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Answer> {
  const isCompressed = body !== plain;
  try {
    const headers = requestHeaders(isCompressed);
    const request = { method, headers, body, redirect: "manual", signal, envelope } as const;
    const answer = await readAnswer(await transport.fetch(baseUrl + path, request), isCompressed);
    return { ...answer, message: withoutKey(answer.message).slice(0, MAX_MESSAGE_CHARS).trim() };
  } catch (cause) {
    return noAnswer(cause);
  }
}

/** What stands for an answer where none came. */
export function noAnswer(cause: unknown): Answer {
  return { status: 0, headers: [], message: "", cause, isCompressed: false };
}

/** What a response says; its body is left behind, or it would hold its connection. */
async function readAnswer(response: Response, isCompressed: boolean): Promise<Answer> {
  const status = response.type === "opaqueredirect" ? 302 : response.status;
  // Why a request was refused stands in its body; what is tried again needs no explanation.
  const isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const message = isRefused ? await firstChunk(response) : "";
  const { body, headers } = response;
  if (body && !body.locked) body.cancel().catch(() => {});
  return { status, headers: status < 400 ? [] : [...headers], message, cause: undefined, isCompressed };
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
