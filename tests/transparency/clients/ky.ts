// `ky`, whose promises have a response's methods.

import ky, { HTTPError } from "ky";
import type { Cases, Host } from "./case.js";
import { answerOf, kind } from "./harness.js";
import type { Behaviour } from "./server.js";

const client = ({ fetch, url }: Host, behaviour: Behaviour = "ok") =>
  ky.create({ fetch, prefix: url(behaviour), retry: { limit: 2, delay: () => 1, retryOnTimeout: false } });

export const cases: Cases = {
  "an answer": {
    run: async (host) => {
      const made = host.call(() => client(host).get("json"));
      return [kind(made), await answerOf(await made)];
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  "json() of the promise": {
    run: async (host) => {
      const made = host.call(() => client(host).post("json", { json: { a: "ö" } }));
      return made.json();
    },
    calls: ["200 read"],
    spans: ["done|unfinished"],
  },
  "json() inside": {
    run: (host) =>
      host.call(() =>
        client(host)
          .post("json", { json: { a: 1 } })
          .json(),
      ),
    calls: ["200 read"],
    spans: ["done"],
  },
  "text(), bytes and a blob": {
    run: async (host) => [
      await client(host).get("text").text(),
      (await client(host).get("text").arrayBuffer()).byteLength,
      // In Bun, the blob of a body that is a JavaScript stream has no type.
      await client(host)
        .get("text")
        .blob()
        .then((blob) => ("Bun" in globalThis ? blob.size : blob.type)),
      await client(host).get("empty").text(),
    ],
    calls: ["200 read", "200 read", "200 read", "204 done"],
  },
  "a body of each kind": {
    run: async (host) => {
      const form = new FormData();
      form.set("a", "1");
      const bodies = [
        new URLSearchParams({ a: "1" }),
        "text",
        new Blob(["blob"], { type: "text/x" }),
        new Uint8Array([65, 66]),
      ];
      for (const body of bodies) host.saw("body", await client(host).put("json", { body }).json());
      const sent = await client(host).post("json", { body: form }).json<{ body: string }>();
      return sent.body.includes('name="a"');
    },
    calls: ["200 read", "200 read", "200 read", "200 read", "200 read"],
  },
  "a stream": {
    run: async (host) => {
      const response = await host.call(() => client(host).get("stream"));
      let text = "";
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
      return text;
    },
    calls: ["200 read"],
    spans: ["done"],
  },
  progress: {
    run: async (host) => {
      let bytes = 0;
      const onDownloadProgress = (progress: { transferredBytes: number }): void => {
        bytes = progress.transferredBytes;
      };
      return [await client(host).get("text", { onDownloadProgress }).text(), bytes];
    },
    calls: ["200 read"],
  },
  "a 500, then an answer": {
    run: (host) => host.call(() => client(host, "once-500").get("json").json()),
    calls: ["500 error", "200 read"],
    spans: ["done"],
  },
  "a 500, always": {
    run: (host) => host.call(() => client(host, "always-500").get("json").json()),
    calls: ["500 error", "500 error", "500 error"],
    spans: ["error"],
  },
  "a 401": {
    run: async (host) => {
      try {
        return await host.call(() => client(host, "401").get("json").json());
      } catch (error) {
        const { response, request } = error as HTTPError;
        return [error instanceof HTTPError, error, kind(response), response.status, request.method];
      }
    },
    calls: ["401 error"],
    spans: ["error"],
  },
  "a 401 that is no error": {
    run: async (host) => answerOf(await client(host, "401").get("json", { throwHttpErrors: false })),
    calls: ["401 error"],
  },
  "hooks see the platform's answer": {
    run: async (host) => {
      const hooked = client(host).extend({
        hooks: {
          beforeRequest: [({ request }) => void host.saw("request", [kind(request), request.method])],
          afterResponse: [
            async ({ response }) => host.saw("response", [kind(response), await response.clone().text()]),
          ],
        },
      });
      return hooked.get("json").json();
    },
    calls: ["200 read"],
  },
  "a call that is aborted before its answer": {
    run: async (host) => {
      const controller = new AbortController();
      const made = host.call(() => client(host, "silent").get("json", { signal: controller.signal }));
      host.until(1).then(() => controller.abort());
      return made;
    },
    calls: ["0 cancelled"],
    spans: ["error|cancelled"],
    hangUps: 1,
  },
  "a body that is left": {
    run: async (host) => {
      const response = await client(host, "endless").get("stream");
      const reader = response.body!.getReader();
      const { value } = await reader.read();
      await reader.cancel("enough");
      return value!.byteLength;
    },
    calls: ["200 stopped"],
    hangUps: 1,
  },
  "a server that is not there": {
    run: (host) => client(host, "refused").get("json", { retry: 0 }),
    calls: ["0 error"],
  },
};
