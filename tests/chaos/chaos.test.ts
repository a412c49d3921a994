// A backend that fails in every way, in Node and in workerd. Each row is sent, or exactly counted as dropped. No row is
// written twice. The host's response is the same as without tracing.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Collector, startCollector } from "../support/collector.js";
import type { Faults } from "../support/faults.js";
import { type RunningWorker, startWorker } from "../support/worker.js";
import { REFUSED, type Recorded, type Recording, record } from "./record.js";

/** Too short for a second attempt, which waits at least 250 ms. For a backend that never answers. */
const ONCE = { spans: 9, timeoutMs: 200 };
/** Longer than any deadline. */
const LATER = { "retry-after": "3600" };

interface Scenario {
  readonly faults?: Faults;
  readonly run?: Omit<Recording, "url">;
  /** Lost rows, by reason. */
  readonly dropped?: Record<string, number>;
  /** Reason why all rows are kept for a later flush. */
  readonly kept?: string;
  /** Rows that were in more than one request. */
  readonly retried?: number;
  /** The backend keeps rows without an answer, or answers that it has rows that it does not have. */
  readonly isUncertain?: boolean;
  readonly requests?: number;
}

const all = (reason: string): Record<string, number> => ({ [reason]: 10 });
const refusesRows: Faults = ({ body }) => (body.includes(REFUSED) ? { status: 400 } : undefined);
const scenarios: Record<string, Scenario> = { "nothing fails": { dropped: {}, requests: 2 } };

for (const status of [200, 201, 202, 204]) scenarios[`HTTP ${status}`] = { faults: { status }, requests: 2 };
scenarios["HTTP 409: they are there already"] = { faults: { status: 409 }, isUncertain: true, requests: 2 };
for (const [status, reason, requests] of [
  // One row alone, then the nine spans in halves.
  [400, "rejected", 1 + 17],
  [422, "rejected", 1 + 17],
  [413, "payload_too_large", 1 + 17],
  [418, "unexpected_status", 2],
] as const) {
  scenarios[`HTTP ${status}`] = { faults: { status }, dropped: all(reason), requests };
}
scenarios["HTTP 415, whether compressed or not"] = {
  faults: { status: 415 },
  dropped: all("unexpected_status"),
};
// Both connections may have begun before the first answer.
for (const [status, reason] of [
  [401, "unauthorized"],
  [402, "quota_exceeded"],
  [403, "unauthorized"],
  [404, "not_found"],
  [405, "not_found"],
  [301, "redirected"],
  [308, "redirected"],
] as const) {
  scenarios[`HTTP ${status}`] = { faults: { status }, kept: reason, requests: 2 };
}
for (const [status, reason] of [
  [408, "timeout"],
  [429, "rate_limited"],
  [500, "server_error"],
  [502, "server_error"],
  [503, "server_error"],
  [504, "server_error"],
] as const) {
  scenarios[`HTTP ${status}, for good`] = { faults: { status, headers: LATER }, kept: reason, requests: 2 };
  scenarios[`HTTP ${status}, at first`] = {
    faults: ({ ofPath }) => (ofPath <= 2 ? { status, headers: { "retry-after": "0" } } : undefined),
    retried: 10,
  };
}
Object.assign(scenarios, {
  "429 with RateLimit-Reset": {
    faults: ({ ofPath }) => (ofPath === 1 ? { status: 429, headers: { "ratelimit-reset": "0" } } : undefined),
    retried: 10,
  },
  "429 with a Retry-After that is a date": {
    faults: ({ ofPath }) =>
      ofPath === 1 ? { status: 429, headers: { "retry-after": "Sun, 06 Nov 1994 08:49:37 GMT" } } : undefined,
    retried: 10,
  },
  "429 until later than there is time": {
    faults: { status: 429, headers: { "ratelimit-reset": "60" } },
    run: { spans: 9 },
    kept: "rate_limited",
    requests: 2,
  },
  "every second answer a failure": {
    faults: ({ number }) => (number % 2 === 1 ? { status: 503, headers: { "retry-after": "0" } } : undefined),
    run: { spans: 9, times: 5 },
  },
  "slow headers": { faults: { status: 204, afterMs: 100 } },
  "slow headers, then a failure": {
    faults: { status: 500, headers: LATER, afterMs: 100 },
    kept: "server_error",
  },
  "a body that never ends, behind a success": { faults: { status: 200, next: "endless" } },
  "a body that never ends, behind a failure": {
    faults: { status: 500, headers: LATER, next: "endless" },
    kept: "server_error",
  },
  "a body that never ends, behind a refusal": {
    faults: { status: 401, next: "endless" },
    kept: "unauthorized",
  },
  "a body that never comes, behind a refusal": {
    faults: { status: 403, next: "silent" },
    run: { spans: 9 },
    kept: "unauthorized",
    requests: 2,
  },
  "a body that never comes, behind a success": { faults: { status: 204, next: "silent" } },
  "a body that breaks off, behind a success": { faults: { status: 200, next: "reset" } },
  "a body that breaks off, behind a refusal": {
    faults: { status: 400, next: "reset" },
    dropped: all("rejected"),
  },
  "connections that break off at first": {
    faults: ({ ofPath }) => (ofPath === 1 ? "reset" : undefined),
    run: { spans: 9, timeoutMs: 30_000 },
    retried: 10,
  },
  "connections that break off, for good": { faults: "reset", run: ONCE, kept: "network_error" },
  // In a Worker, nothing continues after a flush.
  "no answer": { faults: "hang", run: ONCE, kept: "(deadline|network_error)", requests: 2 },
  "no answer to rows that were kept": {
    faults: "reset after keeping",
    run: ONCE,
    isUncertain: true,
    kept: "network_error",
  },
  "one bad row in a thousand": {
    faults: refusesRows,
    run: { spans: 999, badEvery: 999 },
    dropped: { rejected: 1 },
  },
  "one bad row in ten": { faults: refusesRows, run: { spans: 100, badEvery: 100 }, dropped: { rejected: 1 } },
  "a body limit": {
    faults: ({ bytes }) => (bytes > 10_000 ? { status: 413 } : undefined),
    run: { spans: 400 },
    dropped: {},
  },
  "no gzip": {
    faults: ({ headers }) => (headers["content-encoding"] ? { status: 415 } : undefined),
    run: { spans: 50, bytes: 25_000, times: 3, compress: true },
    // The first flush learns it; the trace's row is too short for compression.
    retried: 50,
    requests: 7,
  },
  "a trace of forty megabytes": { run: { spans: 40, bytes: 1_000_000 }, dropped: {} },
  "ten thousand spans": { run: { spans: 10_000 }, dropped: {}, requests: 11 },
} satisfies Record<string, Scenario>);

const runtimes: Record<string, (worker: RunningWorker) => (recording: Recording) => Promise<Recorded>> = {
  Node: () => record,
  workerd: (worker) => async (recording) => {
    const response = await fetch(`${worker.url}/record`, { method: "POST", body: JSON.stringify(recording) });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as Recorded;
  },
};

let worker: RunningWorker;
before(async () => {
  worker = await startWorker("tests/chaos/worker.ts");
});
after(() => worker.close());

for (const [runtime, runner] of Object.entries(runtimes)) {
  describe(`in ${runtime}`, () => {
    for (const compress of [false, true]) {
      test(`large bodies are ${compress ? "compressed if the transport asks for it" : "sent as they are"}`, async () => {
        const collector = await startCollector();
        try {
          await runner(worker)({ spans: 50, bytes: 25_000, url: collector.url, compress });
          const encodings = collector.requests.map(({ path, headers }) => [path, headers["content-encoding"]]);
          assert.deepEqual(encodings.sort(), [
            ["/api/v1/private/spans/batch", compress ? "gzip" : undefined],
            ["/api/v1/private/traces/batch", undefined],
          ]);
          assert.equal(collector.spans().length, 50);
        } finally {
          await collector.close();
        }
      });
    }

    for (const [name, scenario] of Object.entries(scenarios)) {
      test(name, async () => {
        const { faults, run = { spans: 9 }, dropped = {}, kept, retried, isUncertain, requests } = scenario;
        const collector = await startCollector(faults ? { fault: faults } : {});
        try {
          const recorded = await runner(worker)({ ...run, url: collector.url });
          check(recorded, collector, isUncertain ?? false);
          assert.deepEqual([recorded.dropped, recorded.kept], [dropped, kept ? 10 : 0]);
          if (kept) assert.match(recorded.errors.join("\n"), new RegExp(`^rows are kept for the next flush: ${kept}`));
          if (retried !== undefined) assert.equal(recorded.retried, retried);
          if (requests !== undefined) assert.equal(recorded.requests, requests);
        } finally {
          await collector.close();
        }
      });
    }
  });
}

/** Properties that hold in every scenario. */
function check(
  { ids, bad, sent, kept, dropped, told, errors }: Recorded,
  collector: Collector,
  isUncertain: boolean,
): void {
  const lost = Object.values(dropped).reduce((sum, rows) => sum + rows, 0);
  assert.equal(new Set(ids).size, ids.length);
  assert.equal(sent + kept + lost, ids.length, "sent, kept and dropped add up to the recorded rows");
  assert.deepEqual(told, dropped, "onDrop reports every loss");
  assert.equal(errors.length, Object.keys(dropped).length + (kept > 0 ? 1 : 0), "one error for each reason");
  if (isUncertain) return;
  const written = collector.requests
    .filter(({ status }) => status >= 200 && status < 300)
    .flatMap(({ body }) => Object.values(JSON.parse(body) as Record<string, { id: string }[]>).flat())
    .map(({ id }) => id);
  assert.equal(new Set(written).size, written.length, "no row is written twice");
  assert.equal(written.length, sent, "the collector has every row that counts as sent");
  assert.ok(
    written.every((id) => ids.includes(id) && !bad.includes(id)),
    "and nothing else",
  );
}

describe("the host's response", () => {
  /** The parts of a response that a client can see. */
  const seen = async (url: string) => {
    const response = await fetch(`${url}/chat?spans=20`);
    const { status, statusText, headers } = response;
    const kept = [...headers].filter(([name]) => name !== "date");
    return { status, statusText, headers: kept, body: await response.text() };
  };
  for (const [name, fault] of Object.entries({
    ...{ "no failure": undefined, "no answer": "hang", "a reset": "reset" },
    ...{
      "HTTP 400": { status: 400 },
      "HTTP 401": { status: 401 },
      "HTTP 429": { status: 429 },
      "HTTP 500": { status: 500 },
    },
    ...{ "an endless body": { status: 500, next: "endless" }, "a redirect": { redirect: "http://127.0.0.1:9/" } },
  } as Record<string, Faults | undefined>)) {
    test(`is the same as without tracing: ${name}`, async () => {
      const collector = await startCollector(fault ? { fault } : {});
      const bindings = { OPIK_URL_OVERRIDE: collector.url };
      const traced = await startWorker("tests/chaos/worker.ts", { bindings });
      const plain = await startWorker("tests/chaos/worker.ts", {
        bindings: { ...bindings, OPIK_TRACK_DISABLE: "true" },
      });
      try {
        assert.deepEqual(await seen(traced.url), await seen(plain.url));
        await collector.until(() => collector.requests.length > 0);
      } finally {
        await traced.close();
        await plain.close();
        await collector.close();
      }
    });
  }

  test("an invocation of ten thousand spans sends them all", async () => {
    const collector = await startCollector();
    const traced = await startWorker("tests/chaos/worker.ts", { bindings: { OPIK_URL_OVERRIDE: collector.url } });
    try {
      assert.equal((await fetch(`${traced.url}/chat?spans=10000`)).status, 201);
      await collector.until(() => collector.traces().length === 1 && collector.spans().length === 10_002);
      assert.equal(new Set(collector.spans().map(({ id }) => id)).size, 10_002);
    } finally {
      await traced.close();
      await collector.close();
    }
  });
});
