// How an id shows whose it is. Behind its time and a counter it ends in a hash of that counter and a secret of its page. The page
// makes such ids (browser/visit.ts); a relay that is shown the secret makes them again (relay/proof.ts).

/** Bytes of a page's secret. */
export const SECRET_BYTES = 32;

/** The first 64 primes. */
function primes(): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < 64; n += 1) if (found.every((prime) => n % prime)) found.push(n);
  return found;
}

/** The first 32 bits behind the point (FIPS 180-4 §4.2.2, §5.3.3). */
const fraction = (root: number): number => ((root % 1) * 2 ** 32) | 0;

let constants: readonly [start: readonly number[], rounds: readonly number[]] | undefined;

/**
 * What an id ends in: the first 62 bits of SHA-256(`secret`, which has 32 bytes, and `counter`, a big-endian uint16) behind the
 * variant of a UUID, as `8xxx-xxxxxxxxxxxx`. Written out, since a span has its id at once and Web Crypto answers later.
 */
export function tailOf(secret: Uint8Array, counter: number): string {
  constants ??= [
    primes().map((prime) => fraction(Math.sqrt(prime))),
    primes().map((prime) => fraction(Math.cbrt(prime))),
  ];
  const [start, rounds] = constants;
  // The one block of a message that is so short: padded with a bit, zeros and its length in bits.
  const block = new DataView(new ArrayBuffer(64));
  new Uint8Array(block.buffer).set(secret);
  block.setUint16(SECRET_BYTES, counter);
  block.setUint8(SECRET_BYTES + 2, 0x80);
  block.setUint16(62, (SECRET_BYTES + 2) * 8);
  const words = new Int32Array(64);
  let [a, b, c, d, e, f, g, h] = start as [number, number, number, number, number, number, number, number];
  for (let n = 0; n < 64; n += 1) {
    const [before, after] = [words[n - 15] as number, words[n - 2] as number];
    words[n] =
      n < 16
        ? block.getInt32(n * 4)
        : (words[n - 16] as number) +
          (turn(before, 7) ^ turn(before, 18) ^ (before >>> 3)) +
          (words[n - 7] as number) +
          (turn(after, 17) ^ turn(after, 19) ^ (after >>> 10));
    const one =
      h +
      (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
      ((e & f) ^ (~e & g)) +
      (rounds[n] as number) +
      (words[n] as number);
    const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  const [high, low] = [a + (start[0] as number), b + (start[1] as number)];
  const text = hex((high >>> 2) | 0x80000000, 8) + hex((high << 30) | (low >>> 2), 8);
  return `${text.slice(0, 4)}-${text.slice(4)}`;
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

/** A number below 2⁵³ in so many hex digits; one below 0 as its 32 bits. */
export function hex(number: number, digits: number): string {
  return (number < 0 ? number >>> 0 : number).toString(16).padStart(digits, "0");
}
