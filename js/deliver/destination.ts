// Where uploads go, as far as it is remembered from one flush to the next: whether it takes gzip, and
// whether it has failed so often that it is left alone for a while. Numbers only, so it may be shared between requests.

import type { Reporter } from "../errors.js";
import { getCore } from "../platform/core.js";
import { now, randomBits } from "../platform/env.js";
import type { Settings, Transport } from "../settings.js";

/** What is known of one destination. */
export class Destination {
  /** Whether large bodies are compressed. */
  compresses: boolean;
  #failures = 0;
  #pausedUntil = 0;
  #isOnTrial = false;

  constructor({ compress }: Transport) {
    this.compresses = compress === true; // a service binding has every property, as a method
  }

  /** How long it is still to be left alone, in ms. */
  get pauseMs(): number {
    return this.#pausedUntil === 0 ? 0 : Math.max(0, this.#pausedUntil - now());
  }

  /** Whether it was left alone and has not delivered since: then one attempt has to do. */
  get isOnTrial(): boolean {
    return this.#isOnTrial;
  }

  /** An upload was delivered. */
  succeeded(): void {
    this.#failures = 0;
    this.#pausedUntil = 0;
    this.#isOnTrial = false;
  }

  /** An upload was not; `forGood` when it is no use to try again until somebody has mended something. */
  failed(forGood: boolean): void {
    this.#failures += 1;
    const pauseMs = getCore().pause(this.#failures, forGood, randomBits());
    if (pauseMs === 0) return;
    this.#pausedUntil = now() + pauseMs;
    this.#isOnTrial = true;
  }

  /** Ends the pause. If the next upload fails too, another begins, and is longer. */
  probe(): void {
    this.#pausedUntil = 0;
  }
}

/** How many of a transport's destinations are remembered at most. */
const MAX_KNOWN = 64;
const known = new WeakMap<Transport, Map<string, Destination>>();

/** The destination of a client: one for each transport, URL, workspace and key, and for a relay one of its own. */
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

/** Tells once of a URL by which rows and key can be read on the way, and of settings that there are not. */
export function warnOfSettings({ isInsecure, unknown }: Settings, reporter: Reporter): void {
  for (const sentence of unknown) reporter.once("invalid_config", sentence, undefined, sentence);
  if (isInsecure)
    reporter.once("insecure_url", "`url` is plain http, so rows and key can be read on the way: use https");
}
