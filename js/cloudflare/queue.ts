// A Cloudflare Queue between the Workers that record and the one that delivers: for traffic that outgrows what
// one invocation may send, and for a backend that is away for longer than an invocation lives.

import { Delivery } from "../deliver/delivery.js";
import { warnOfSettings } from "../deliver/destination.js";
import { emptyReport, type FlushReport } from "../deliver/report.js";
import { sourceOf } from "../deliver/source.js";
import { numberOr } from "../deliver/transport.js";
import {
  isOfScores,
  MAX_UPLOAD_BYTES,
  MAX_UPLOAD_ROWS,
  ROW_KINDS,
  type RowKind,
  scoreKey,
  selfContained,
  type Upload,
  uploadOf,
} from "../deliver/upload.js";
import { Reporter } from "../errors.js";
import { resolveConfig } from "../resolve-settings.js";
import type { OpikConfig, Transport } from "../settings.js";
import { settle } from "./batch.js";

/** What the producer needs of a queue's binding. */
export interface QueueProducer {
  /** Rejects where the queue takes no message: then the rows are tried again, or counted as dropped. */
  send(message: string, options: { readonly contentType: "text" }): Promise<unknown>;
}

/** What the consumer needs of a batch. */
export interface QueueBatch {
  /** All of them, in any order. */
  readonly messages: readonly QueueMessage[];
}

/** What the consumer needs of a message. */
export interface QueueMessage {
  /** The text that a `queueTransport` has sent. */
  readonly body: unknown;
  /** How often it has come, counted from 1. */
  readonly attempts?: number | undefined;
  /** It is done with. */
  ack(): void;
  /** It is to come again, after so many seconds. */
  retry(options?: { readonly delaySeconds?: number }): void;
}

/** Bytes of a message: the platform takes 128 KB, its own part included. */
const MAX_MESSAGE_BYTES = 120_000;

/**
 * Puts uploads into a queue, in messages of at most 120,000 bytes. They carry rows and nothing else: the key is the
 * consumer's.
 *
 * @example
 * ```ts
 * import { queueTransport, withOpik } from "opik-edge/cloudflare";
 *
 * interface Env {
 *   OPIK_ROWS: Queue;
 * }
 *
 * export default withOpik(
 *   {
 *     async fetch(_request: Request, _env: Env): Promise<Response> {
 *       return new Response("hello");
 *     },
 *   },
 *   (env) => ({ transport: queueTransport(env.OPIK_ROWS) }),
 * );
 * ```
 */
export function queueTransport(queue: QueueProducer): Transport {
  const decoder = new TextDecoder();
  return {
    maxBodyBytes: MAX_MESSAGE_BYTES,
    appendsOnly: true,
    async fetch(url, { body }) {
      await queue.send(decoder.decode(selfContained(url, body)), { contentType: "text" });
      return new Response(null, { status: 202 });
    },
  };
}

/** How long one batch may take: a consumer has time, but its messages should not be away for long. */
const TIMEOUT_MS = 25_000;
/** The wait before a message comes a second time; four times as long before each further one, */
const MIN_RETRY_SECONDS = 5;
/** and no longer than this. */
const MAX_RETRY_SECONDS = 600;

/** How long messages are left in the queue by a consumer that is disabled: so that few of their attempts are used up. */
const DISABLED_RETRY_SECONDS = 3600;

/**
 * Delivers a batch of such messages, many rows to a request. A message is acknowledged when each of its rows was accepted
 * or refused for good; otherwise it comes again. What Opik refuses is looked for message by message, and within one so far
 * that a single row of it can be found; where more of its rows are refused, their neighbours are lost with them. Messages that
 * come again travel with fewer others each time, in the end alone. Throws only when the configuration is wrong, and then all come again.
 *
 * With `disabled` nothing is sent, and every message comes again after an hour: what is switched off may be switched on again,
 * and what was acknowledged would be lost. As for a backend that is away, the queue's `max_retries` says for how long.
 *
 * What it gives is typed as nothing, too: that is what the platform's types expect of a handler.
 *
 * @example
 * ```ts
 * import { deliverQueue } from "opik-edge/cloudflare";
 *
 * interface Env {
 *   OPIK_API_KEY: string;
 *   OPIK_WORKSPACE: string;
 * }
 *
 * export default {
 *   async queue(batch: MessageBatch, env: Env): Promise<void> {
 *     await deliverQueue(batch, { env });
 *   },
 * };
 * ```
 */
export function deliverQueue(batch: QueueBatch, config?: OpikConfig): Promise<void> & Promise<FlushReport>;
export async function deliverQueue(batch: QueueBatch, config: OpikConfig = {}): Promise<FlushReport> {
  const settings = resolveConfig(config);
  // A trace of each delivery would be one more message, if it is delivered by the same queue.
  for (const message of batch.messages) settle(message);
  if (settings.disabled) {
    for (const message of batch.messages) message.retry({ delaySeconds: DISABLED_RETRY_SECONDS });
    return emptyReport();
  }
  const reporter = new Reporter(config);
  warnOfSettings(settings, reporter);
  const open = new Map<QueueMessage, number>();
  const uploads = merge(batch, reporter, open);
  const delivery = new Delivery(sourceOf(uploads), settings, reporter, { keeps: true });
  const report = await delivery.flush({ timeoutMs: TIMEOUT_MS, isLast: true });
  const pauseSeconds = Math.ceil(delivery.pauseMs / 1000);
  for (const message of batch.messages) {
    const seconds = MIN_RETRY_SECONDS * 4 ** (attemptsOf(message) - 1);
    const delaySeconds = Math.min(Math.max(seconds, pauseSeconds), MAX_RETRY_SECONDS);
    if (open.get(message)) message.retry({ delaySeconds });
    else message.ack();
  }
  return report;
}

/** The rows of all messages in few uploads; `open` counts the rows of each message that are neither accepted nor refused for good. */
function merge({ messages }: QueueBatch, reporter: Reporter, open: Map<QueueMessage, number>): Upload[] {
  const uploads: Upload[] = [];
  const mergers = new Map(ROW_KINDS.map((kind) => [kind, new Merger(kind, open)]));
  for (const message of messages) {
    const found = rowsOf(message.body);
    if (!found) {
      reporter.once(
        "row_dropped",
        "a message of the queue was none of ours, and was left out: have queueTransport alone write into it",
      );
      continue;
    }
    const { kind, rows } = found;
    // A message stays whole, so that it comes again whole, and no other with it.
    let merger = mergers.get(kind) as Merger;
    if (!merger.takes(rows, message)) {
      uploads.push(merger.toUpload());
      merger = new Merger(kind, open);
      mergers.set(kind, merger);
    }
    merger.add(rows, message);
    open.set(message, rows.length);
  }
  for (const merger of mergers.values()) if (!merger.isEmpty) uploads.push(merger.toUpload());
  return uploads;
}

interface Row {
  readonly id: unknown;
  readonly json: Uint8Array;
}

function rowsOf(body: unknown): { readonly kind: RowKind; readonly rows: Row[] } | undefined {
  try {
    const parsed = JSON.parse(body as string) as Partial<Record<RowKind, { readonly id: unknown }[]>>;
    const kind = ROW_KINDS.find((known) => parsed[known]) as RowKind;
    const encoder = new TextEncoder();
    const rows = parsed[kind]?.map((row) => ({ id: keyOf(kind, row), json: encoder.encode(JSON.stringify(row)) }));
    return rows && { kind, rows };
  } catch {
    return undefined;
  }
}

/** What there may be only one of in an upload. */
function keyOf(kind: RowKind, row: { readonly id: unknown }): unknown {
  return isOfScores(kind) ? scoreKey(row) : row.id;
}

/** How often a message has come. */
function attemptsOf({ attempts }: QueueMessage): number {
  return numberOr(attempts, 1);
}

/**
 * With how many others at most a message travels, itself included: what is in one may be why the backend fails, and is to be
 * left behind by the others in the end.
 */
function mostWith(message: QueueMessage): number {
  const attempts = attemptsOf(message);
  return attempts > 1 ? 64 >> (2 * Math.min(attempts - 1, 3)) : Number.POSITIVE_INFINITY;
}

/** Rows of several messages on their way into one upload. */
class Merger {
  readonly #kind: RowKind;
  readonly #open: Map<QueueMessage, number>;
  readonly #rows: Row[] = [];
  readonly #owners: QueueMessage[] = [];
  readonly #ids = new Set<unknown>();
  #bytes = 0;
  #messages = 0;
  #mostMessages = Number.POSITIVE_INFINITY;

  constructor(kind: RowKind, open: Map<QueueMessage, number>) {
    this.#kind = kind;
    this.#open = open;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Whether there is room for all of them, and no row of their ids yet: the API refuses both. */
  takes(rows: readonly Row[], owner: QueueMessage): boolean {
    if (this.isEmpty) return true;
    const bytes = rows.reduce((sum, { json }) => sum + json.byteLength + 1, this.#bytes);
    const fits = this.#rows.length + rows.length <= MAX_UPLOAD_ROWS && bytes < MAX_UPLOAD_BYTES;
    const hasRoom = this.#messages < Math.min(this.#mostMessages, mostWith(owner));
    return fits && hasRoom && !rows.some(({ id }) => this.#ids.has(id));
  }

  add(rows: readonly Row[], owner: QueueMessage): void {
    this.#mostMessages = Math.min(this.#mostMessages, mostWith(owner));
    this.#messages += 1;
    for (const row of rows) {
      this.#rows.push(row);
      this.#owners.push(owner);
      this.#ids.add(row.id);
      this.#bytes += row.json.byteLength + 1;
    }
  }

  toUpload(): Upload {
    const owners = this.#owners;
    const splits = new Map<QueueMessage, number>();
    const upload = uploadOf(
      this.#kind,
      this.#rows.map(({ json }) => json),
    );
    upload.splitAt = (part) => {
      const { rows } = part;
      const half = rows >> 1;
      const own = part.partOf(owners);
      for (let away = 0; away <= half; away += 1) {
        for (const at of [half - away, half + away]) if (at > 0 && at < rows && own[at] !== own[at - 1]) return at;
      }
      // All of one message: as often as it takes to find one row.
      const [owner] = own as readonly [QueueMessage];
      const left = splits.get(owner) ?? Math.ceil(Math.log2(rows));
      splits.set(owner, left - 1);
      return left > 0 ? half : 0;
    };
    upload.onSettled = (part) => {
      for (const owner of part.partOf(owners)) {
        this.#open.set(owner, (this.#open.get(owner) as number) - 1);
      }
    };
    return upload;
  }
}
