// A streamed answer of a model that passes a traced `fetch` of this package, and nothing looks into it.

import { type CallObserver, Opik } from "opik-edge";
import { type Contender, SINK_URL } from "../contender.js";
import { BODY, CHUNKS, URL } from "../model-answer.js";
import { HEADERS } from "../shapes.js";
import { readOpikRows } from "./opik-rows.js";

/** A model, which no bench can call. */
const via = {
  async fetch(): Promise<Response> {
    let at = 0;
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const chunk = CHUNKS[at];
          at += 1;
          if (chunk) controller.enqueue(chunk);
          else controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
};

/** A request that asks the model once, reads its answer and delivers its spans. */
export function modelContender(observe: readonly CallObserver[]): Contender {
  const opik = new Opik({ url: SINK_URL, apiKey: "key", projectName: "bench", observe });
  return {
    async request() {
      await opik.span({ name: "ask", parent: HEADERS }, async (root) => {
        const response = await root.fetch(URL, { method: "POST", body: BODY, opik: { via } });
        const reader = response.body!.getReader();
        for (let next = await reader.read(); !next.done; next = await reader.read());
      });
      await opik.flush();
    },
    read: readOpikRows,
  };
}

export const contender = modelContender([]);
