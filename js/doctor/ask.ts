// Asks a server, which might not answer at all, or might not end its answer.

import { environment } from "../platform/env.js";

/** Time for an answer, including its body. */
const TIMEOUT_MS = 10_000;

/** An answer, and the part of its body that was read. */
export interface Answer {
  readonly response: Response;
  readonly text: string;
}

/** Sends a request and reads about `maxBytes` of the answer's body, by default nothing. Rejects if no answer comes in time. */
export async function ask(send: (signal: AbortSignal) => Promise<Response>, maxBytes = 0): Promise<Answer> {
  const controller = new AbortController();
  let stop = (): void => {};
  const late = new Promise<never>((_, reject) => {
    stop = environment.after(TIMEOUT_MS, () => {
      const error = new Error(`no answer within ${TIMEOUT_MS} ms`);
      reject(error); // even if `send` ignores the signal
      controller.abort(error);
    });
  });
  const answer = async (): Promise<Answer> => {
    const response = await send(controller.signal);
    const reader = response.body?.locked ? undefined : response.body?.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (let bytes = 0; bytes < maxBytes && !controller.signal.aborted; ) {
      const part = await reader?.read();
      if (!part || part.done) break;
      bytes += part.value.byteLength;
      text += decoder.decode(part.value, { stream: true });
    }
    reader?.cancel().catch(() => {});
    return { response, text };
  };
  try {
    return await Promise.race([answer(), late]);
  } finally {
    stop();
  }
}
