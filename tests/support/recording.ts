// What a client records, and reports, in memory: made anew for each test of the file that imports this.

import { beforeEach } from "node:test";
import { Opik, type OpikConfig, type OpikError } from "opik-edge";
import { InMemoryExporter } from "opik-edge/testing";

/** What has been sent. */
export let exporter: InMemoryExporter;
/** What has been reported. */
export let errors: OpikError[];

/** Forgets both. */
export function startOver(): void {
  exporter = new InMemoryExporter();
  errors = [];
}
beforeEach(startOver);

/** A client that sends and reports here, when it is flushed. */
export function client(config: OpikConfig = {}): Opik {
  return new Opik({ transport: exporter, background: false, onError: (error) => errors.push(error), ...config });
}

/** The codes of what has been reported. */
export function codes(): string[] {
  return errors.map(({ code }) => code);
}
