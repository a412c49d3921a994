// A visit lasts from the loading of a page, or the last `discard`, to its end. It makes the page's ids in such a way that a
// relay recognises them (../platform/proof.ts). A `discard` ends the visits of all tabs.

import { toBase64Url } from "../platform/base64url.js";
import { randomBytes } from "../platform/env.js";
import { isMadeWith, SECRET_BYTES, tailOf } from "../platform/proof.js";

/** Keeps rows of a visit. */
interface Member {
  /** Drops all rows of the relay, also at rest. If another tab has ended the visit, only the rows of this tab are dropped. */
  forget(all: boolean): Promise<void>;
}

/** The limit up to which ids do not follow a clock that is set back, as in src/id.rs. */
const MAX_BEHIND_MS = 60_000;

const visits = new Map<string, Visit>();

/** The visit of this page for the relay at `url`. Each relay gets its own secret. */
export function visitOf(url: string): Visit {
  return visits.get(url) ?? new Visit(url);
}

/** The current visit. `discard` begins the next one in the same object. */
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
      (this.#channel as { unref?(): void }).unref?.(); // Node has channels too, and would stay alive for this one
    } catch {
      // Without a channel, other tabs do not learn that the visit has ended.
    }
  }

  /** Makes `member` forget its rows when the visit ends. */
  join(member: Member): void {
    this.#members.add(member);
  }

  /**
   * The secret that proves that ids belong to this visit, in base64url. Only the relay gets it; it is also stored beside
   * rows at rest.
   */
  get secret(): string {
    this.#draw();
    return this.#secret;
  }

  /** `true` if `id` was made in this visit. */
  owns(id: string): boolean {
    return isMadeWith(this.#draw(), id);
  }

  /** A new UUIDv7 for the time `ms`. It is greater than all before it, unless the clock was set back by more than a minute. */
  mint(ms: number): string {
    this.#counter = (this.#counter + 1) % 4096;
    if (ms < this.#ms - MAX_BEHIND_MS) this.#ms = 0; // the clock was ahead and has been corrected
    // After 4096 ids in one millisecond, the next ids use the next millisecond.
    this.#ms = Math.max(ms, this.#ms + (this.#counter === 0 ? 1 : 0));
    const time = hex(this.#ms, 12);
    const tail = tailOf(this.#draw(), this.#counter);
    return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(this.#counter, 3)}-${tail}`;
  }

  /** Ends this visit and the visits of other tabs, and begins another. */
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

/** `id` moved in time by `ms`. Its end, which proves its origin, stays. */
export function shiftId(id: string, ms: number): string {
  const time = hex(Number.parseInt(id.replace("-", ""), 16) + ms, 12);
  return `${time.slice(0, 8)}-${time.slice(8)}${id.slice(13)}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}
