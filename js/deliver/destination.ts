// The state of a destination between flushes: whether it takes gzip, and whether it is paused after repeated failures. It
// holds only numbers and flags, so requests can share it.

import type { Reporter } from "../errors.js";
import { getCore } from "../platform/core.js";
import { now, randomBits } from "../platform/env.js";
import type { Settings, Transport } from "../settings.js";

/** The known state of one destination. */
export class Destination {
  /** `true` if large bodies are compressed. */
  compresses: boolean;
  #failures = 0;
  #pausedUntil = 0;
  #isOnTrial = false;

  constructor({ compress }: Transport) {
    this.compresses = compress === true; // a service binding has every property, as a method
  }

  /** Remaining pause in ms. */
  get pauseMs(): number {
    return this.#pausedUntil === 0 ? 0 : Math.max(0, this.#pausedUntil - now());
  }

  /** `true` after a pause, until an upload is delivered. Only one upload is tried at a time. */
  get isOnTrial(): boolean {
    return this.#isOnTrial;
  }

  /** Notes a delivered upload. */
  succeeded(): void {
    this.#failures = 0;
    this.#pausedUntil = 0;
    this.#isOnTrial = false;
  }

  /** Notes a failed upload; `forGood` if retrying cannot help until somebody fixes the cause. */
  failed(forGood: boolean): void {
    this.#failures += 1;
    const pauseMs = getCore().pause(this.#failures, forGood, randomBits());
    if (pauseMs === 0) return;
    this.#pausedUntil = now() + pauseMs;
    this.#isOnTrial = true;
  }

  /** Ends the pause. If the next upload fails too, a longer pause begins. */
  probe(): void {
    this.#pausedUntil = 0;
  }
}

/** Maximum number of remembered destinations per transport. */
const MAX_KNOWN = 64;
const known = new WeakMap<Transport, Map<string, Destination>>();

/** The destination of a client: one for each combination of transport, URL, workspace and key. A relay has its own. */
export function destinationOf({ transport, destination: nameOf }: Settings): Destination {
  const named = known.get(transport) ?? new Map<string, Destination>();
  known.set(transport, named);
  const name = nameOf();
  let destination = named.get(name);
  if (!destination) {
    if (named.size >= MAX_KNOWN) named.clear();
    destination = new Destination(transport);
    named.set(name, destination);
  }
  return destination;
}

/** Warns once of a plain http URL, which exposes rows and key on the way, and of unknown settings. */
export function warnOfSettings({ isInsecure, unknown }: Settings, reporter: Reporter): void {
  for (const sentence of unknown) reporter.once("invalid_config", sentence, undefined, sentence);
  if (isInsecure)
    reporter.once("insecure_url", "`url` is plain http, so rows and key can be read on the way: use https");
}
