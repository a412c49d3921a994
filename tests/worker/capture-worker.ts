// Captures in workerd, where a span may be current only until the first await. Answers with what each capture recorded.

import { Opik, span, track } from "opik-edge";
import { capture, type Tree } from "opik-edge/testing";

const client = new Opik({ url: "http://127.0.0.1:9/api", onError: () => {} });
const pause = () => new Promise((resolve) => setTimeout(resolve));
const work = track(async function work(name: string) {
  await pause();
  client.span({ name }).end();
});

const namesOf = (trees: readonly Tree[]): unknown[] =>
  trees.map(({ row, spans }) => [row.name, ...spans.flatMap((tree) => namesOf([tree]))]);
const fails = (error: unknown) => `${error}`;

export default {
  async fetch(): Promise<Response> {
    const one = await capture(() => work("one"));
    const [first, second] = await Promise.all([
      capture(() => work("first")),
      capture(() => work("second")).catch(fails),
    ]);
    let inner: unknown;
    const outer = await capture(async () => {
      await pause();
      inner = await capture(() => work("inner")).then(namesOf, fails);
      span({ name: "outer" }).end();
    });
    return Response.json({
      one: namesOf(one),
      first: namesOf(first),
      second: typeof second === "string" ? second : namesOf(second),
      outer: namesOf(outer),
      inner,
    });
  },
};
