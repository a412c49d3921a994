// A Worker that instruments the global `fetch`: each call is traced, and observed with the settings of its request.

import { callObserver, instrumentFetch, type ObservedAnswer } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

const platform = globalThis.fetch;
instrumentFetch();

/** An observer that records the events of a call. */
const observerOf = (model: string) =>
  callObserver(({ url }) => {
    if (!new URL(url).pathname.startsWith("/model")) return undefined;
    let input: string | undefined;
    let status = 0;
    let text = "";
    const decoder = new TextDecoder();
    return {
      isForeign: true,
      request(body) {
        input = body;
        return true;
      },
      answer(answer: ObservedAnswer) {
        status = answer.status;
      },
      chunk(bytes) {
        text += decoder.decode(bytes, { stream: true });
      },
      end: (how) => ({ type: "llm", name: "model", model, input: { body: input }, output: { status, text, how } }),
    };
  });
const observers = { a: observerOf("a"), b: observerOf("b") };

export default withOpik(
  {
    async fetch(request: Request, env: { UPSTREAM: string }): Promise<Response> {
      const { pathname } = new URL(request.url);
      if (pathname === "/is-traced") return Response.json(globalThis.fetch !== platform);
      const init = { method: "POST", body: `{"of":"${pathname}"}`, headers: { "content-type": "application/json" } };
      const plain = await (await platform(`${env.UPSTREAM}/model`, new Request(env.UPSTREAM, init))).text();
      const asString = await (await fetch(`${env.UPSTREAM}/model`, init)).text();
      const asRequest = await (await fetch(new Request(`${env.UPSTREAM}/model`, init))).text();
      const other = await (await fetch(`${env.UPSTREAM}/other`, init)).text();
      // The Worker returns the model's response object itself.
      const streamed = await fetch(`${env.UPSTREAM}/model/stream`, init);
      const answers = JSON.stringify({ plain, asString, asRequest, other });
      return new Response(streamed.body, { headers: { answers } });
    },
  },
  (_env, trigger) => ({
    projectName: "observed",
    observe: [trigger.type === "fetch" && trigger.request.url.endsWith("/a") ? observers.a : observers.b],
  }),
);
