// `track` takes its arguments in either order, and returns anything but a function unchanged.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Opik, track } from "opik-edge";
import { client, codes, errors, exporter } from "../support/recording.js";

test("a function is tracked with its options before or after it", async () => {
  const opik = client();
  const double = (n: number): number => 2 * n;
  const options = { name: "twice", type: "tool", tags: ["t"], metadata: { m: 1 } } as const;
  for (const tracked of [opik.track(double, options), opik.track(options, double)]) {
    assert.equal(tracked(2), 4);
    await opik.flush();
    const [span] = exporter.spans;
    const { name, type, tags, metadata, input, output } = span!;
    assert.deepEqual(
      { name, type, tags, metadata, input, output },
      { ...options, input: { arguments: [2] }, output: { output: 4 } },
    );
    exporter.clear();
  }
  assert.equal(opik.track({}, double)(1), 2);
  assert.equal(opik.track(null as never, double)(1), 2);
  assert.equal(opik.track(double, null as never)(1), 2);
  assert.equal(track({ name: "twice" }, double)(1), 2);
  assert.deepEqual(codes(), []);
});

test("a value that is not a function is reported once and returned", () => {
  const opik = client();
  for (const wrong of [undefined, null, "hello", 1, {}, { name: "n" }, Promise.resolve()] as never[]) {
    errors.length = 0;
    const other = new Opik({ transport: exporter, onError: (error) => errors.push(error) });
    assert.equal(other.track(wrong), wrong);
    assert.equal(other.track(wrong), wrong);
    const type = wrong === null ? "null" : wrong === 1 ? "1" : typeof wrong;
    assert.deepEqual(
      errors.map(({ code, message }) => [code, message]),
      [["invalid_config", `track: expected a function, got ${type}`]],
    );
  }
  errors.length = 0;
  const options = { name: "n" } as never;
  const handler = { run: 1 } as never;
  assert.equal(opik.track(options, handler), handler);
  assert.deepEqual(codes(), ["invalid_config"]);
});

test("`track` without a client does the same", () => {
  const { warn } = console;
  const lines: string[] = [];
  console.warn = (line: string) => lines.push(line);
  try {
    const wrong = "hello" as never;
    assert.equal(track(wrong), wrong);
    assert.equal(track({ name: "n" }, wrong), wrong);
  } finally {
    console.warn = warn;
  }
  assert.deepEqual(lines, ["[opik-edge] invalid_config: track: expected a function, got string"]);
});
