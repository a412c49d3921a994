// Encodes messages of AWS's event streams as bytes, as EventStreamCodec of @smithy/eventstream-codec does. The SDK checks their CRCs.

import { crc32 } from "node:zlib";

/** A message: headers with names that begin with `:`, and a payload of JSON. `chunk` is a provider's JSON, sent in base64. */
export interface Message {
  readonly [header: `:${string}`]: string;
  readonly payload?: unknown;
  readonly chunk?: unknown;
}

/** The bytes of a message. */
export function frameOf(message: Message): Uint8Array {
  const { payload, chunk, ...named } = message;
  const headers = Buffer.concat(Object.entries(named).map(([name, value]) => header(name, value as string)));
  const body = Buffer.from(
    JSON.stringify(chunk ? { bytes: Buffer.from(JSON.stringify(chunk)).toString("base64") } : payload),
  );
  const start = Buffer.concat([u32(12 + headers.length + body.length + 4), u32(headers.length)]);
  const all = Buffer.concat([start, u32(crc32(start)), headers, body]);
  return Buffer.concat([all, u32(crc32(all))]);
}

/** A header of type 7, a string. */
function header(name: string, value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([
    Buffer.from([name.length]),
    Buffer.from(name),
    Buffer.from([7, bytes.length >> 8, bytes.length & 255]),
    bytes,
  ]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}
