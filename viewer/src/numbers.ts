/** Whole numbers in base 128, one after the other, as replays hold them. */

const MOST_BYTES = 5; // of one number

export class Numbers {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {}

  next(): number {
    let value = 0;
    for (let scale = 1, used = 0; ; scale *= 128, used++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("a number is cut off");
      if (used === MOST_BYTES) throw new Error("a number is too long");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  nextSigned(): number {
    const value = this.next();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }
}

/** Signed numbers as bytes. */
export function pack(values: Iterable<number>): Uint8Array {
  const bytes: number[] = [];
  for (const value of values) {
    let left = value < 0 ? -2 * value - 1 : 2 * value;
    for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
    bytes.push(left);
  }
  return Uint8Array.from(bytes);
}
