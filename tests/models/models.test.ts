// Runs the unmodified SDKs of model providers. The host sees and sends the same with tracing as without, and each call is recorded
// correctly.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { recordSuite } from "../support/versions.js";
import { ROOT } from "../support/worker.js";
import { KEY, type Run, type Told } from "./case.js";
import { misrecorded } from "./records.js";
import { RUNTIMES, runIn } from "./running.js";
import { type ModelServer, startModels } from "./server.js";

const PACKAGES: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(join(ROOT, "tests/models/package.json"), "utf8"),
).dependencies;
for (const [name, version] of Object.entries(PACKAGES)) {
  // `openai-6` is an alias for `npm:openai@6.49.0`.
  const [, aliased = name, exact = version] = /^npm:(.*)@(.*)$/.exec(version) ?? [];
  recordSuite("models", `${aliased} (SDK)`, exact);
}

// Two at once, because a runtime mostly waits for its servers.
describe("SDKs", { concurrency: 2 }, () => {
  for (const runtime of RUNTIMES) {
    describe(runtime, () => {
      let collector: Collector;
      let server: ModelServer;
      let told: Told;
      before(async () => {
        collector = await startCollector();
        server = await startModels();
        told = await runIn(runtime, server, { models: server.url, collector: collector.url });
      });
      after(() => closeAll(server, collector));

      test("each case makes one request per answer", () => {
        const wrong = told.runs.filter(({ sdk, case: title, requests }) => {
          return requests.length !== told.sdks[sdk]!.cases[title]!.answers.length;
        });
        assert.ok(told.runs.length > 200, `${told.runs.length} runs`);
        assert.deepEqual(
          wrong.map(({ name, requests, outcome }) => [name, requests.length, outcome]),
          [],
        );
      });

      test("a host sees and sends the same traced as untraced", () => {
        const seen = ({ outcome, requests }: Run) => [outcome, requests.map(({ isJoined: _, ...request }) => request)];
        const plain = new Map(told.runs.filter(({ mode }) => mode === "plain").map((run) => [keyOf(run), seen(run)]));
        const wrong = told.runs.flatMap((run) => {
          const [traced, untraced] = [seen(run), plain.get(keyOf(run))];
          return isDeepStrictEqual(traced, untraced) ? [] : [{ name: run.name, traced, untraced }];
        });
        assert.deepEqual(wrong, []);
      });

      test("each call is recorded as a span of its model", () => {
        const rows = collector.spans();
        const traced = told.runs.filter(({ mode }) => mode !== "plain");
        const wrong = traced.flatMap((run) => misrecorded(told, run, rows).map((line) => `${run.name}: ${line}`));
        assert.ok(wrong.length === 0, `${wrong.length} differences:\n${wrong.join("\n")}`);
      });

      test("no key is recorded", () => {
        const recorded = JSON.stringify([collector.spans(), collector.traces()]);
        assert.ok(!recorded.includes(KEY));
      });
    });
  }
});

const keyOf = ({ sdk, case: title }: Run): string => `${sdk}: ${title}`;
