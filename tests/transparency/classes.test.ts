// Classes in workerd, plain and wrapped. Both look the same to their own code, their base classes, their callers and
// importing modules, and the wrapped classes are traced.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { closeAll } from "../support/closing.js";
import { type Collector, startCollector } from "../support/collector.js";
import { ROOT, type RunningWorker, startWorker } from "../support/worker.js";
import { ACCEPTED, type Accepted, type Row, TABLE } from "./classes-table.js";

const SIDES = ["plain", "traced"] as const;
type Side = (typeof SIDES)[number];

/** The export name of a shape. It uses the position, because a shape's name need not be an identifier. */
const exportOf = (side: Side, at: number): string => `${side}_${at}`;

const STUB = "target/transparency/classes.stub.ts";
before(async () => {
  const exports = SIDES.flatMap((side) =>
    Object.keys(TABLE).map(
      (name, at) =>
        `export const ${exportOf(side, at)} = SHAPES[${JSON.stringify(name)}].make(WRAPS.${side}) as never;`,
    ),
  );
  await mkdir(join(ROOT, "target/transparency"), { recursive: true });
  await writeFile(
    join(ROOT, STUB),
    `import { ask, WRAPS } from "../../tests/transparency/classes-worker.js";
     import { SHAPES } from "../../tests/transparency/classes-shapes.js";
     import * as self from "./classes.stub.js";
     ${exports.join("\n")}
     export default {
       async fetch(request: Request, env: never, ctx: never) {
         const { name, base, binding, path } = await request.json() as Record<string, string>;
         const bound = env[binding] as DurableObjectNamespace;
         const stub = base === "DurableObject" ? bound.get(bound.idFromName("one")) : bound;
         return Response.json(await ask(name, stub as never, self[binding as never], { path: path!, ctx, env }));
       },
     };`,
  );
});

const RUNTIMES = (["current", "old"] as const).flatMap((workerd) =>
  [["nodejs_als"], ["nodejs_compat"], []].map((flags) => ({ workerd, flags })),
);

for (const { workerd, flags } of RUNTIMES) {
  suite(`${workerd} workerd, ${flags[0] ?? "no flag"}`, () => {
    let collector: Collector;
    let worker: RunningWorker;
    before(async () => {
      collector = await startCollector();
      const bindings = SIDES.flatMap((side) =>
        Object.values(TABLE).map(({ base }, at) => ({ base, name: exportOf(side, at) })),
      );
      const of = (wanted: string) => bindings.filter(({ base }) => base === wanted).map(({ name }) => name);
      worker = await startWorker(STUB, {
        bindings: { OPIK_URL_OVERRIDE: collector.url, NAME: "the name" },
        workerd,
        compatibilityFlags: flags,
        onLog: (line) => {
          if (process.env["SHOW"]) console.error(line);
        },
        miniflare: {
          name: "classes",
          durableObjects: Object.fromEntries(
            of("DurableObject").map((name) => [name, { className: name, useSQLite: true }]),
          ),
          serviceBindings: Object.fromEntries(
            [...of("WorkerEntrypoint"), ...of("handler")].map((name) => [name, { name: "classes", entrypoint: name }]),
          ),
        },
      });
    });
    after(() => closeAll(worker, collector));

    for (const [at, [name, row]] of Object.entries(TABLE).entries()) {
      test(name, async () => {
        const answers: Record<Side, Record<string, unknown>> = { plain: {}, traced: {} };
        const before = collector.spans().length;
        for (const side of SIDES) {
          const body = JSON.stringify({ name, base: row.base, binding: exportOf(side, at), path: `${at}` });
          const response = await fetch(worker.url, { method: "POST", body });
          const text = await response.text();
          assert.equal(response.status, 200, text);
          answers[side] = JSON.parse(text);
        }
        for (const accepted of ACCEPTED) if (accepted.shapes.includes(name as never)) accept(accepted, answers);
        for (const [look, answer] of Object.entries(answers.plain)) {
          assert.deepEqual(answers.traced[look], answer, `${look}: ${JSON.stringify([answer, answers.traced[look]])}`);
        }
        const { spans: usual, spansWithoutFlag } = row as Row;
        const spans = (flags.length === 0 && spansWithoutFlag) || usual;
        const wanted = spans.map((span) => (span === "fetch" ? `GET /${at}` : span)).sort();
        const found = () =>
          collector
            .spans()
            .slice(before)
            .map(({ name }) => name as string);
        await collector.until(() => found().length >= wanted.length);
        assert.deepEqual(found().sort(), wanted);
      });
    }
  });
}

/** Removes an accepted difference from the answers. Fails if the answers do not differ. */
function accept({ look, member, reason }: Accepted, answers: Record<Side, Record<string, unknown>>): void {
  const part = (side: Side) => {
    const answer = answers[side][look] as { value: Record<string, unknown> };
    return member === undefined ? answer : answer.value[member];
  };
  assert.notDeepEqual(part("traced"), part("plain"), `it is the same: ${reason}`);
  for (const side of SIDES) {
    if (member === undefined) delete answers[side][look];
    else delete (answers[side][look] as { value: Record<string, unknown> }).value[member];
  }
}
