// A Cloudflare Queue between the Workers that record and the one that delivers: for traffic that outgrows what
// one invocation may send, and for a backend that is away for longer than an invocation lives.

import { type OpikConfig, resolveConfig } from "../config.js";
import { Delivery } from "../delivery.js";
import { Reporter } from "../errors.js";
import { emptyReport, type FlushReport } from "../flush.js";
import { scoreKey } from "../score.js";
import type { Transport } from "../transport.js";
import {
  MAX_UPLOAD_BYTES,
  MAX_UPLOAD_ROWS,
  ROW_KINDS,
  type RowKind,
  selfContained,
  type Upload,
  uploadOf,
} from "../upload.js";

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
 */
export function queueTransport(queue: QueueProducer): Transport {
  const decoder = new TextDecoder();
  return {
    maxBodyBytes: MAX_MESSAGE_BYTES,
    compress: false,
    async fetch(url, { body }) {
      await queue.send(decoder.decode(selfContained(url, body)), { contentType: "text" });
      return new Response(null, { status: 202 });
    },
  };
}

/** How long one batch may take: a consumer has time, but its messages should not be away for long. */
const TIMEOUT_MS = 25_000;
/** The shortest wait before messages come again. */
const MIN_RETRY_SECONDS = 5;
/** The longest that the platform takes. */
const MAX_RETRY_SECONDS = 43_200;

/** How long messages are left in the queue by a consumer that is disabled: so that few of their attempts are used up. */
const DISABLED_RETRY_SECONDS = 3600;

/**
 * Delivers a batch of such messages, many rows to a request. A message is acknowledged when each of its rows was accepted
 * or refused for good; otherwise it comes again. Throws only when the configuration is wrong, and then all come again.
 *
 * With `disabled` nothing is sent, and every message comes again after an hour: what is switched off may be switched on again,
 * and what was acknowledged would be lost. As for a backend that is away, the queue's `max_retries` says for how long.
 */
export async function deliverQueue(batch: QueueBatch, config: OpikConfig = {}): Promise<FlushReport> {
  const settings = resolveConfig(config);
  if (settings.disabled) {
    for (const message of batch.messages) message.retry({ delaySeconds: DISABLED_RETRY_SECONDS });
    return emptyReport();
  }
  const reporter = new Reporter(config);
  const again = new Set<QueueMessage>();
  const uploads = merge(batch, reporter, (message) => again.add(message));
  const source = { take: () => uploads.splice(0), takeDropped: () => ({}) };
  // They are all in memory already.
  const limits = { ...settings.limits, bufferBytes: Number.POSITIVE_INFINITY };
  const delivery = new Delivery(source, { ...settings, limits }, reporter);
  const report = await delivery.flush({ timeoutMs: TIMEOUT_MS, keep: true });
  const seconds = Math.ceil(delivery.pauseMs / 1000);
  const delaySeconds = Math.min(Math.max(seconds, MIN_RETRY_SECONDS), MAX_RETRY_SECONDS);
  for (const message of batch.messages) {
    if (again.has(message)) message.retry({ delaySeconds });
    else message.ack();
  }
  return report;
}

/** The rows of all messages in few uploads; `retry` is told of each message of which a row was not delivered. */
function merge({ messages }: QueueBatch, reporter: Reporter, retry: (message: QueueMessage) => void): Upload[] {
  const uploads: Upload[] = [];
  const open = new Map(ROW_KINDS.map((kind) => [kind, new Merger(kind, retry)]));
  for (const message of messages) {
    const found = rowsOf(message.body);
    if (!found) {
      reporter.once("row_dropped", "a message of the queue was none of ours, and was left out");
      continue;
    }
    const { kind, rows } = found;
    // A message stays whole, so that it comes again whole, and no other with it.
    let merger = open.get(kind) as Merger;
    if (!merger.takes(rows)) {
      uploads.push(merger.toUpload());
      merger = new Merger(kind, retry);
      open.set(kind, merger);
    }
    for (const row of rows) merger.add(row, message);
  }
  for (const merger of open.values()) if (!merger.isEmpty) uploads.push(merger.toUpload());
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
  return kind.endsWith("scores") ? scoreKey(row) : row.id;
}

/** Rows of several messages on their way into one upload. */
class Merger {
  readonly #kind: RowKind;
  readonly #retry: (message: QueueMessage) => void;
  readonly #rows: Row[] = [];
  readonly #owners: QueueMessage[] = [];
  readonly #ids = new Set<unknown>();
  #bytes = 0;

  constructor(kind: RowKind, retry: (message: QueueMessage) => void) {
    this.#kind = kind;
    this.#retry = retry;
  }

  get isEmpty(): boolean {
    return this.#rows.length === 0;
  }

  /** Whether there is room for all of them, and no row of their ids yet: the API refuses both. */
  takes(rows: readonly Row[]): boolean {
    if (this.isEmpty) return true;
    const bytes = rows.reduce((sum, { json }) => sum + json.byteLength + 1, this.#bytes);
    const fits = this.#rows.length + rows.length <= MAX_UPLOAD_ROWS && bytes < MAX_UPLOAD_BYTES;
    return fits && !rows.some(({ id }) => this.#ids.has(id));
  }

  add(row: Row, owner: QueueMessage): void {
    this.#rows.push(row);
    this.#owners.push(owner);
    this.#ids.add(row.id);
    this.#bytes += row.json.byteLength + 1;
  }

  toUpload(): Upload {
    const upload = uploadOf(
      this.#kind,
      this.#rows.map(({ json }) => json),
    );
    upload.onSettled = ({ firstRow, rows }, outcome) => {
      if (outcome === "kept") for (const owner of this.#owners.slice(firstRow, firstRow + rows)) this.#retry(owner);
    };
    return upload;
  }
}
