// A visit: from the loading of a page, or the last `discard`, to its end. It makes the page's ids, so that a relay knows them for
// its own (../proof.ts), and ends in all tabs at once.

import { toBase64Url } from "../platform/base64url.js";
import { randomBytes } from "../platform/env.js";
import { isMadeWith, SECRET_BYTES, tailOf } from "../platform/proof.js";

/** What keeps rows of a visit. */
interface Member {
  /** Drops what it keeps, at rest too: all that there is, or, where another tab says so and does that itself, its own. */
  forget(all: boolean): Promise<void>;
}

/** As in src/id.rs: how far a clock may be set back before ids follow it. */
const MAX_BEHIND_MS = 60_000;

const visits = new Map<string, Visit>();

/** The visit of this page, as the relay at `url` sees it: another one learns another secret. */
export function visitOf(url: string): Visit {
  return visits.get(url) ?? new Visit(url);
}

/** The visit of now. */
export class Visit {
  readonly #members = new Set<Member>();
  readonly #channel: BroadcastChannel | undefined;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #secret = "";
  #ms = 0;
  #counter = -1;

  constructor(url: string) {
    visits.set(url, this);
    try {
      this.#channel = new BroadcastChannel(`opik-edge ${url}`);
      this.#channel.onmessage = () => void this.#end(false);
      (this.#channel as { unref?(): void }).unref?.(); // Node has one too, and would wait for it
    } catch {
      // There is none to be had: other tabs do not hear of its end.
    }
  }

  /** Tells `member` when it ends. */
  join(member: Member): void {
    this.#members.add(member);
  }

  /** By what its ids are known, in base64url. It is shown to the relay, kept beside rows at rest, and given to nobody else. */
  get secret(): string {
    this.#draw();
    return this.#secret;
  }

  /** Whether `id` was made in this visit. */
  owns(id: string): boolean {
    return isMadeWith(this.#draw(), id);
  }

  /** A new UUIDv7 for the time `ms`, greater than every one before it, unless the last one is more than a minute later. */
  mint(ms: number): string {
    this.#counter = (this.#counter + 1) % 4096;
    if (ms < this.#ms - MAX_BEHIND_MS) this.#ms = 0; // the clock was ahead, and was put right
    // The next 4096 in one millisecond are of the next one.
    this.#ms = Math.max(ms, this.#ms + (this.#counter === 0 ? 1 : 0));
    const time = hex(this.#ms, 12);
    const tail = tailOf(this.#draw(), this.#counter);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(this.#counter, 3)}-${tail}`;
  }

  /** Ends it, and those of the other tabs, and begins another. */
  discard(): Promise<void> {
    this.#channel?.postMessage(0);
    return this.#end(true);
  }

  async #end(all: boolean): Promise<void> {
    this.#bytes = undefined;
    await Promise.all([...this.#members].map((member) => member.forget(all)));
  }

  #draw(): Uint8Array {
    if (!this.#bytes) {
      this.#bytes = randomBytes(SECRET_BYTES) as Uint8Array<ArrayBuffer>;
      this.#secret = toBase64Url(this.#bytes);
    }
    return this.#bytes;
  }
}

/** `id` with its time moved on by `ms`: what it ends in, and so whose it is, stays. */
export function shiftId(id: string, ms: number): string {
  const time = hex(Number.parseInt(id.replace("-", ""), 16) + ms, 12);
  return `${time.slice(0, 8)}-${time.slice(8)}${id.slice(13)}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}
