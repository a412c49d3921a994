// A client's rows and reports, kept in memory. Reset before each test of the importing file.

import { beforeEach } from "node:test";
import { Opik, type OpikConfig, type OpikError } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";

/** Receives the sent rows. */
export let exporter: InMemoryExporter;
/** The reported errors. */
export let errors: OpikError[];

/** Starts again with neither rows nor errors. */
export function startOver(): void {
  exporter = new InMemoryExporter();
  errors = [];
}
beforeEach(startOver);

/** A client that sends to `exporter` when it is flushed, and reports to `errors`. */
export function client(config: OpikConfig = {}): Opik {
  return new Opik({ transport: exporter, background: false, onError: (error) => errors.push(error), ...config });
}

/** The codes of the reported errors. */
export function codes(): string[] {
  return errors.map(({ code }) => code);
}
