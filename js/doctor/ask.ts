// A question to a server of somebody else's, whose answer may never come, or never end.

import { environment } from "../platform/env.js";

/** How long an answer may take, its body included. */
const TIMEOUT_MS = 10_000;

/** An answer, as far as it was read. */
export interface Answer {
  readonly response: Response;
  readonly text: string;
}

/** Asks, and reads about `maxBytes` of the answer's body, by default nothing. Rejects where nothing comes in time. */
export async function ask(send: (signal: AbortSignal) => Promise<Response>, maxBytes = 0): Promise<Answer> {
  const controller = new AbortController();
  let stop = (): void => {};
  const late = new Promise<never>((_, reject) => {
    stop = environment.after(TIMEOUT_MS, () => {
      const error = new Error(`no answer within ${TIMEOUT_MS} ms`);
      reject(error); // also where what sends takes no notice of the signal
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
