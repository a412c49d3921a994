// A request is flushed after the handler's own background work, within a time limit. The tests move the clock.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { fetch as opikFetch, span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { type FakeClock, useFakeClock } from "opik-edge/testing";

/** Names of the rows in each request. `fetch` is replaced, because real requests need the real clock. */
let posted: string[][];
let clock: FakeClock;
const realFetch = globalThis.fetch;

beforeEach(() => {
  clock = useFakeClock();
  clock.freeze();
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
  assert.equal(clock.timers, 0, "no timer is left");
  clock.restore();
  globalThis.fetch = realFetch;
});

/** Requests of a span that stays open for more than fifteen seconds. */
const EARLY_AND_WHOLE = [["background"], ["background"]];

/**
 * Calls a Worker whose background work ends when `finishWork` is called. The platform knows of the work unless `isHidden`.
 */
async function call(isHidden = false): Promise<{ finishWork: () => void; waited: Promise<unknown>[] }> {
  let finishWork = () => {};
  const work = new Promise<void>((resolve) => {
    finishWork = resolve;
  });
  const worker = withOpik(
    {
      fetch(_request: Request, _env: object, ctx: { waitUntil(promise: Promise<unknown>): void }) {
        const background = span({ name: "background" });
        const done = work.then(() => background.end());
        // Stands for `waitUntil` of cloudflare:workers or Vercel, and for Next's `after`.
        if (!isHidden) ctx.waitUntil(done);
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

test("the flush waits for the background work, and sends everything at once", async () => {
  const { finishWork, waited } = await call();
  await clock.advance(0);
  assert.deepEqual(posted, []);
  finishWork();
  await Promise.all(waited);
  assert.deepEqual(posted, [["GET /path"], ["GET /path", "background"]], "the trace, then its spans");
});

test("ended spans are sent every five seconds, together with those that the work ends later", async () => {
  const { finishWork, waited } = await call();
  await clock.advance(4999);
  assert.deepEqual(posted, []);
  await clock.advance(1);
  assert.deepEqual(posted, [["GET /path"], ["GET /path"]], "the trace and the root span");
  await clock.advance(60_000);
  finishWork();
  await Promise.all(waited);
  assert.deepEqual(posted.slice(2), EARLY_AND_WHOLE);
});

test("a span that outlives its response is waited for, and the other rows are sent meanwhile", async () => {
  const { finishWork, waited } = await call(true);
  await clock.advance(0);
  assert.deepEqual(posted, [["GET /path"], ["GET /path"]]);
  await clock.advance(20_000);
  finishWork();
  await Promise.all(waited);
  assert.deepEqual(posted.slice(2), EARLY_AND_WHOLE);
});

test("a span that never ends is closed before the runtime stops", async () => {
  const { waited } = await call(true);
  await clock.advance(25_999);
  assert.equal(posted.length, 3);
  await clock.advance(1);
  await Promise.all(waited);
  assert.deepEqual(posted.slice(2), EARLY_AND_WHOLE);
});

/** Runs a handler that calls `http://localhost/upstream`, whose answer has the status `status` and `body`. */
function calling(
  handle: (response: Response) => unknown,
  status: number,
  body: ReadableStream<Uint8Array>,
): { readonly ended: Promise<unknown>; readonly waited: Promise<unknown>[] } {
  const via = { fetch: async () => new Response(body, { status }) };
  const worker = withOpik(
    {
      async fetch(_request: Request, _env: object, _ctx: object): Promise<Response> {
        await handle(await opikFetch("http://localhost/upstream", { opik: { via } }));
        return new Response("ok");
      },
    },
    () => ({ url: "http://localhost:5173/api" }),
  );
  const waited: Promise<unknown>[] = [];
  const ctx = { waitUntil: (promise: Promise<unknown>) => waited.push(promise) };
  const answer = worker.fetch(new Request("http://localhost/path"), {}, ctx as never);
  const ended = Promise.resolve(answer).then((response) => (response as Response).text(), String);
  return { ended, waited };
}
const CALL = "GET localhost/upstream";

test("a call whose answer nobody reads does not hold the flush", async () => {
  for (const status of [200, 503]) {
    posted = [];
    const { ended, waited } = calling(
      (response) => {
        if (!response.ok) throw new Error("refused");
      },
      status,
      new ReadableStream(),
    );
    await ended;
    await clock.advance(0);
    assert.deepEqual(posted, [["GET /path"], ["GET /path", CALL]]);
    await Promise.all(waited);
  }
});

test("a call whose answer has a reader is waited for, and ends with the answer", async () => {
  let finish = (): void => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      finish = () => {
        controller.enqueue(new TextEncoder().encode("late"));
        controller.close();
      };
    },
  });
  let late: Promise<string> | undefined;
  const handle = (response: Response): void => {
    late = response.text();
  };
  const { ended, waited } = calling(handle, 200, body);
  await ended;
  await clock.advance(7000);
  assert.deepEqual(posted, [["GET /path"], ["GET /path"]]);
  finish();
  assert.equal(await late, "late");
  await Promise.all(waited);
  assert.deepEqual(posted.slice(2), [[CALL]]);
});

test("an answer that is read after its call was closed is complete", async () => {
  let left: Response | undefined;
  const body = new Blob(["whole"]).stream();
  const handle = (response: Response): void => {
    left = response;
  };
  const { ended, waited } = calling(handle, 200, body);
  await ended;
  await clock.advance(0);
  await Promise.all(waited);
  assert.equal(await left!.text(), "whole");
  assert.deepEqual(posted, [["GET /path"], ["GET /path", CALL]]);
});
