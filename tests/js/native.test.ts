// `native: true` with a `ctx.tracing` that is not the platform's, in Node: the host gets what it gets without the setting.
// tests/worker/native.test.ts has the platform's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { span } from "opik-edge";
import { withOpik } from "opik-edge/cloudflare";
import { InMemoryExporter } from "opik-edge/testing";

/** Runs `handler` with `ctx.tracing` from `tracing`. Returns what the host gets, the names of the rows, and the reports. */
async function outcomeWith(tracing: PropertyDescriptor, handler: () => unknown, native = true) {
  const exporter = new InMemoryExporter();
  const errors: string[] = [];
  const waited: Promise<unknown>[] = [];
  const ctx = Object.defineProperty(
    { waitUntil: (promise: Promise<unknown>) => void waited.push(promise) },
    "tracing",
    tracing,
  );
  const config = { transport: exporter, native, onError: ({ code }: { code: string }) => void errors.push(code) };
  const worker = withOpik({ scheduled: (_: unknown, __: object, ___: object) => handler() }, () => config);
  let got: unknown;
  try {
    got = { returned: worker.scheduled({ cron: "* * * * *", scheduledTime: 0 }, {}, ctx) };
    await (got as { returned: unknown }).returned;
  } catch (error) {
    got = { threw: error };
  }
  for (let n = 0; n < waited.length; n += 1) await waited[n];
  return { got, names: exporter.spans.map(({ name }) => name), errors };
}

const refuse = (): never => {
  throw new Error("refused");
};
const native = { isTraced: true, setAttributes: refuse, setStatus: refuse, updateName: refuse, end: refuse };

/** Values of `ctx.tracing` that a host, a framework or a test double may pass. */
const ODD: Record<string, PropertyDescriptor> = {
  "a getter that throws": { get: refuse },
  null: { value: null },
  "a text": { value: "yes" },
  "an empty object": { value: {} },
  "without `getActiveSpan`": { value: { withActiveSpan: refuse, startSpan: refuse } },
  "a text as the active span": {
    value: { getActiveSpan: () => "span", startSpan: () => "span", withActiveSpan: refuse },
  },
  "every call of a span throws, and `withActiveSpan` loses results": {
    value: {
      getActiveSpan: () => native,
      startSpan: () => ({ ...native }),
      withActiveSpan(_: unknown, fn: () => unknown): void {
        fn();
        refuse();
      },
    },
  },
};

for (const [what, tracing] of Object.entries(ODD)) {
  test(`${what}: results and errors are the host's own`, async () => {
    const result = { of: "the host" };
    const error = new Error("of the host");
    const handlers: Record<string, () => unknown> = {
      returns: () => span({ name: "inner" }, () => result),
      rejects: () => span({ name: "inner" }, () => Promise.reject(error)),
      throws: () =>
        span({ name: "inner" }, () => {
          throw error;
        }),
    };
    for (const [how, handler] of Object.entries(handlers)) {
      const { got, names, errors } = await outcomeWith(tracing, handler);
      if (how === "returns") assert.equal((got as { returned: unknown }).returned, result);
      else assert.equal((got as { threw: unknown }).threw, error);
      assert.deepEqual(names.sort(), ["inner", "scheduled * * * * *"]);
      assert.deepEqual(errors, []);
    }
  });
}

test("without the setting, `ctx.tracing` is not even read", async () => {
  const { names, errors } = await outcomeWith({ get: () => assert.fail("read") }, () => "done", false);
  assert.deepEqual(names, ["scheduled * * * * *"]);
  assert.deepEqual(errors, []);
});
