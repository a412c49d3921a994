// When the flush happens: after the handler's own background work, but not for ever. The clock is the test's.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";

/** What was posted, as the names of its rows; `fetch` is replaced, since real ones need the clock. */
let posted: string[][];
const realFetch = globalThis.fetch;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  posted = [];
  globalThis.fetch = async (_url, init) => {
    const payload = JSON.parse(new TextDecoder().decode(init!.body as Uint8Array)) as Record<
      string,
      { name: string }[]
    >;
    posted.push(Object.values(payload)[0]!.map(({ name }) => name));
    return new Response(null, { status: 204 });
  };
});
afterEach(() => {
  mock.timers.reset();
  globalThis.fetch = realFetch;
});

/** Calls a Worker whose background work ends when `finishWork` is called. */
async function call(): Promise<{ finishWork: () => void; waited: Promise<unknown>[] }> {
  let finishWork = () => {};
  const work = new Promise<void>((resolve) => {
    finishWork = resolve;
  });
  const worker = withOpik(
    {
      fetch(_request: Request, _env: object, ctx: { waitUntil(promise: Promise<unknown>): void }) {
        const background = span({ name: "background" });
        ctx.waitUntil(work.then(() => background.end()));
        return new Response("ok");
      },
    },
    () => ({ url: "http://localhost:5173/api" }),
  );
  const waited: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => waited.push(promise) };
  const response = await worker.fetch(new Request("http://localhost/path"), {}, ctx as never);
  assert.equal(await response.text(), "ok");
  return { finishWork, waited };
}

/** Lets everything run that does not need the clock. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

test("the flush waits for the background work, and sends everything at once", async () => {
  const { finishWork, waited } = await call();
  await settle();
  assert.deepEqual(posted, []);
  finishWork();
  await Promise.all(waited);
  assert.deepEqual(posted, [["GET /path"], ["GET /path", "background"]], "the trace, then its spans");
});

test("after ten seconds it waits no longer, and what comes later goes in a second flush", async () => {
  const { finishWork, waited } = await call();
  mock.timers.tick(9_999);
  await settle();
  assert.deepEqual(posted, []);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual(posted, [["GET /path"], ["GET /path"]], "the trace and the root span");
  finishWork();
  await Promise.all(waited);
  assert.deepEqual(posted[2], ["background"]);
});
