// A Cloudflare Queue between the Workers that record and the Worker that delivers: for more traffic than an invocation may send,
// and for a backend that is down for longer than an invocation lives.

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
import type { OpikConfig, Settings, Transport } from "../settings.js";
import { settle } from "./batch.js";

/** The used part of a queue's binding. */
export interface QueueProducer {
  /** Rejects if the queue does not accept the message: the rows are then retried, or counted as dropped. */
  send(message: string, options: { readonly contentType: "text" }): Promise<unknown>;
}

/** The used part of a batch. */
export interface QueueBatch {
  /** The messages, in any order. */
  readonly messages: readonly QueueMessage[];
}

/** The used part of a message. */
export interface QueueMessage {
  /** The text that `queueTransport` sent. */
  readonly body: unknown;
  /** Number of deliveries, including this one. */
  readonly attempts?: number | undefined;
  /** Removes the message from the queue. */
  ack(): void;
  /** Has the message delivered again after `delaySeconds`. */
  retry(options?: { readonly delaySeconds?: number }): void;
}

/** Size of a message in bytes: the platform allows 128 KB, including its own data. */
const MAX_MESSAGE_BYTES = 120_000;

/**
 * Puts uploads into a queue, in messages of at most 120,000 bytes. The messages carry only rows: the consumer holds the key.
 *
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

/** Time to deliver one batch. A consumer has longer, but its messages should not be away for long. */
const TIMEOUT_MS = 25_000;
/** Delay of a message's second delivery; each further delay is four times as long, */
const MIN_RETRY_SECONDS = 5;
/** up to this maximum. */
const MAX_RETRY_SECONDS = 600;

/** Delay set by a disabled consumer: each delivery uses up one of a message's attempts. */
const DISABLED_RETRY_SECONDS = 3600;

/**
 * Delivers a batch of messages from `queueTransport`, with many rows in each request. A message is acknowledged when Opik has
 * accepted, or refused for good, each of its rows; otherwise it is delivered again. A refused upload is split by message, and
 * then within a message until a single bad row is found. If a message has several bad rows, rows next to them are lost too. With
 * each delivery a message shares its upload with fewer others, and in the end with no other. Throws only for invalid settings,
 * and then all messages are delivered again.
 *
 * With `disabled`, nothing is sent, and every message is delivered again after an hour, so that no row is lost when you enable it
 * again. The queue's `max_retries` limits how often, as with a backend that is down.
 *
 * The result also has the type `Promise<void>`, as the platform's types require of a handler.
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
  const resolved = resolveConfig(config);
  // Others have recorded the rows.
  const settings: Settings = { ...resolved, requestHeaders: (gzipped) => resolved.requestHeaders(gzipped, "queue") };
  // The trace of a delivery, delivered through the same queue, would cause another delivery.
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

/** Merges the rows of all messages into few uploads. `open` counts the undecided rows of each message. */
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
    // A message stays in one upload, so that its retry does not affect other messages.
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

/** The key that must be unique in an upload. */
function keyOf(kind: RowKind, row: { readonly id: unknown }): unknown {
  return isOfScores(kind) ? scoreKey(row) : row.id;
}

/** Number of deliveries of a message. */
function attemptsOf({ attempts }: QueueMessage): number {
  return numberOr(attempts, 1);
}

/**
 * Maximum number of messages in an upload with `message`, itself included. It shrinks with each delivery, so that a message that
 * makes the backend fail ends up alone.
 */
function mostWith(message: QueueMessage): number {
  const attempts = attemptsOf(message);
  return attempts > 1 ? 64 >> (2 * Math.min(attempts - 1, 3)) : Number.POSITIVE_INFINITY;
}

/** Collects the rows of several messages for one upload. */
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

  /** `true` if there is room for all rows and none of their ids is present: the API refuses duplicate ids. */
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
      // All rows belong to one message: split until a single row can be found.
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
