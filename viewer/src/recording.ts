/** A replay in memory, read from a file or growing while a game is played: key states and the deltas between. */

import type { Header } from "./header";
import { Col } from "./header";
import { openSteps } from "./open_chunk";

const CHUNK_STEPS = 100;
const VERSION = 1;
const MAGIC = "COGREPLY";
const MOST_BYTES = 1 << 26; // of an unpacked part
const CACHED_CHUNKS = 4;

/** Whole numbers in base 128, one after the other. */
class Numbers {
  constructor(
    readonly bytes: Uint8Array,
    public at = 0,
  ) {}

  next(): number {
    let value = 0;
    for (let scale = 1, used = 0; ; scale *= 128, used++) {
      const byte = this.bytes[this.at++];
      if (byte === undefined || used === 5) throw new Error("damaged replay: a number is cut off");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  nextSigned(): number {
    const value = this.next();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  }
}

async function inflate(packed: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([packed as BlobPart]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MOST_BYTES) throw new Error("damaged replay: a part is too large");
    parts.push(value);
  }
  return joined(parts);
}

interface Chunk {
  steps: number;
  data: Uint8Array;
  open: boolean;
}

function chunksOf(view: DataView, bytes: Uint8Array, start: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = start; at + 12 <= bytes.length; ) {
    const [steps, length] = [view.getUint32(at + 4, true), view.getUint32(at + 8, true)];
    at += 12;
    if (steps || length) {
      chunks.push({ steps, data: bytes.subarray(at, at + length), open: false });
      at += length;
    } else {
      const { parts, next } = openSteps(bytes, view, at, CHUNK_STEPS);
      if (parts.length) chunks.push({ steps: parts.length, data: joined(parts), open: true });
      at = next;
    }
  }
  return chunks;
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export class Recording {
  /** Whether it ends before the game because its writer was ended. */
  cut = false;
  private readonly keys: Int32Array[] = [];
  private readonly deltas: Uint8Array[] = [];
  private readonly cache = new Map<number, Int32Array[]>();
  private tip: Int32Array;

  constructor(
    readonly header: Header,
    first: Int32Array,
  ) {
    this.tip = first;
    this.keys.push(first);
    this.deltas.push(new Uint8Array(0));
  }

  /** Numbers in a state. */
  static size(header: Header): number {
    const agent = Col.Inventory + header.resources.length;
    const rest = 2 * header.objects.length + header.collectives.length * header.resources.length;
    return header.agents.length * agent + rest;
  }

  static key(numbers: Numbers, header: Header): Int32Array {
    const state = new Int32Array(Recording.size(header));
    for (let k = 0; k < state.length; k++) state[k] = numbers.nextSigned();
    return state;
  }

  /** A game that begins with the key state in `bytes`. */
  static begin(header: Header, bytes: Uint8Array): Recording {
    return new Recording(header, Recording.key(new Numbers(bytes), header));
  }

  /** The bytes of a replay file. Throws an Error with a line for people. */
  static async read(bytes: Uint8Array): Promise<Recording> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 16 || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) throw new Error("this is no replay");
    if (view.getUint32(8, true) !== VERSION) throw new Error(`a replay of version ${view.getUint32(8, true)}`);
    const start = 16 + view.getUint32(12, true);
    const header = JSON.parse(new TextDecoder().decode(await inflate(bytes.subarray(16, start)))) as Header;
    const chunks = chunksOf(view, bytes, start);
    const unpacked = await Promise.all(chunks.map((chunk) => (chunk.open ? chunk.data : inflate(chunk.data))));
    const bodies = unpacked.map((body) => new Numbers(body));
    if (!bodies[0]) throw new Error("damaged replay: no steps");
    const recording = new Recording(header, Recording.key(bodies[0], header));
    bodies.forEach((body, chunk) => recording.readChunk(body, chunk, chunks[chunk]?.steps ?? 0));
    recording.cut = chunks[chunks.length - 1]?.open === true && recording.last < header.max_steps;
    return recording;
  }

  private readChunk(body: Numbers, chunk: number, steps: number): void {
    if (chunk > 0) {
      this.keys.push(Recording.key(body, this.header));
      this.deltas.push(new Uint8Array(0));
    }
    for (let step = 1; step < steps; step++) {
      const start = body.at;
      for (let left = 2 * body.next(); left > 0; left--) body.next();
      this.deltas.push(body.bytes.subarray(start, body.at));
    }
  }

  /** Number of the last step. */
  get last(): number {
    return this.deltas.length - 1;
  }

  /** Add the next step. */
  append(delta: Uint8Array): void {
    this.tip = apply(this.tip, delta);
    this.deltas.push(delta);
    if (this.last % CHUNK_STEPS === 0) this.keys.push(this.tip);
    else this.cache.get(Math.floor(this.last / CHUNK_STEPS))?.push(this.tip);
  }

  /** The state after `step` steps; not to be changed. */
  state(step: number): Int32Array {
    const chunk = Math.floor(step / CHUNK_STEPS);
    return this.chunk(chunk)[step - chunk * CHUNK_STEPS] as Int32Array;
  }

  private chunk(chunk: number): Int32Array[] {
    const known = this.cache.get(chunk);
    if (known) return known;
    const first = chunk * CHUNK_STEPS;
    const states = [this.keys[chunk] as Int32Array];
    const end = Math.min(first + CHUNK_STEPS, this.deltas.length);
    for (let step = first + 1; step < end; step++) {
      states.push(apply(states[states.length - 1] as Int32Array, this.deltas[step] as Uint8Array));
    }
    if (this.cache.size >= CACHED_CHUNKS) this.cache.delete(this.cache.keys().next().value as number);
    this.cache.set(chunk, states);
    return states;
  }
}

function apply(state: Int32Array, delta: Uint8Array): Int32Array {
  const after = state.slice();
  const numbers = new Numbers(delta);
  let place = -1;
  for (let left = numbers.next(); left > 0; left--) {
    place += numbers.next() + 1;
    if (place >= after.length) throw new Error("damaged replay: a step changes what is not there");
    after[place] = (after[place] as number) + numbers.nextSigned();
  }
  return after;
}
