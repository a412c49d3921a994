// Ids that prove who made them. After its time and a counter, such an id ends in a hash of the counter and of its page's
// secret. The page makes the ids (browser/visit.ts); a relay that gets the secret computes the hash again (relay/proof.ts).

/** Bytes of a page's secret. */
export const SECRET_BYTES = 32;

/** The first 32 fractional bits of the square roots and the cube roots of the first 64 primes (FIPS 180-4 §4.2.2, §5.3.3). */
const squares: number[] = [];
const cubes: number[] = [];
function prepare(): void {
  const primes: number[] = [];
  const fraction = (root: number): number => ((root % 1) * 2 ** 32) | 0;
  for (let n = 2; primes.length < 64; n += 1) {
    if (primes.every((prime) => n % prime)) {
      primes.push(n);
      squares.push(fraction(Math.sqrt(n)));
      cubes.push(fraction(Math.cbrt(n)));
    }
  }
}

/**
 * The end of an id: after the variant of a UUID, the first 62 bits of SHA-256(`secret`, of 32 bytes, and `counter`, a
 * big-endian uint16), as `8xxx-xxxxxxxxxxxx`. Implemented here because a span needs its id at once, and Web Crypto is
 * asynchronous.
 */
export function tailOf(secret: Uint8Array, counter: number): string {
  if (cubes.length === 0) prepare();
  // A message this short takes one block, padded with a bit, zeros and its length in bits.
  const block = new DataView(new ArrayBuffer(64));
  new Uint8Array(block.buffer).set(secret);
  block.setUint16(SECRET_BYTES, counter);
  block.setUint8(SECRET_BYTES + 2, 0x80);
  block.setUint16(62, (SECRET_BYTES + 2) * 8);
  const words = new Int32Array(64);
  for (let n = 0; n < 16; n += 1) words[n] = block.getInt32(n * 4);
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = squares;
  for (let n = 0; n < 64; n += 1) {
    if (n > 15) {
      const early = words[n - 15] as number;
      const late = words[n - 2] as number;
      words[n] =
        (words[n - 16] as number) +
        (turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)) +
        (words[n - 7] as number) +
        (turn(late, 17) ^ turn(late, 19) ^ (late >>> 10));
    }
    const one =
      h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + (cubes[n] as number) + (words[n] as number);
    const two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  block.setInt32(0, a + (squares[0] as number));
  block.setInt32(4, b + (squares[1] as number));
  const text = ((block.getBigUint64(0) >> 2n) | (1n << 63n)).toString(16);
  return `${text.slice(0, 4)}-${text.slice(4)}`;
}

/** `true` if `id`, in lower case, was made with `secret`. */
export function isMadeWith(secret: Uint8Array, id: string): boolean {
  return id.slice(19) === tailOf(secret, Number.parseInt(id.slice(15, 18), 16));
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
