/** A replay in memory, read from a file or growing while a game is played: key states and the deltas between. */

import type { Header } from "./header";
import { Col } from "./header";
import { Numbers, pack } from "./numbers";

export const CHUNK_STEPS = 100;
const CACHED_CHUNKS = 4;
const EMPTY = new Uint8Array(0);

export class Recording {
  /** Whether it ends before the game because its writer was ended. */
  cut = false;
  private readonly keys: Int32Array[] = [];
  private readonly deltas: Uint8Array[] = [];
  private readonly cache = new Map<number, Int32Array[]>();
  private tip: Int32Array;

  constructor(
    readonly header: Header,
    /** The header as it was written: it holds whole numbers that JavaScript rounds. */
    readonly text: string,
    first: Int32Array,
  ) {
    this.tip = first;
    this.keys.push(first);
    this.deltas.push(EMPTY);
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
  static begin(text: string, bytes: Uint8Array): Recording {
    const header = JSON.parse(text) as Header;
    return new Recording(header, text, Recording.key(new Numbers(bytes), header));
  }

  /** Take in a chunk of a file. Throws an Error that says what is damaged. */
  readChunk(body: Numbers, steps: number): void {
    if (this.last > 0) {
      this.keys.push(Recording.key(body, this.header));
      this.deltas.push(EMPTY);
    }
    for (let step = 1; step < steps; step++) {
      const start = body.at;
      for (let left = 2 * body.next(); left > 0; left--) body.next();
      this.deltas.push(body.bytes.subarray(start, body.at));
    }
    if (body.at !== body.bytes.length) throw new Error("something follows the last step");
  }

  /** Chunks as a file holds them, unpacked: number of steps and bytes of each. */
  *chunks(): Iterable<{ steps: number; bytes: Uint8Array[] }> {
    for (let chunk = 0; chunk < this.keys.length; chunk++) {
      const deltas = this.deltas.slice(chunk * CHUNK_STEPS, (chunk + 1) * CHUNK_STEPS);
      yield { steps: deltas.length, bytes: [pack(this.keys[chunk] as Int32Array), ...deltas.slice(1)] };
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
    if (place >= after.length) throw new Error("damaged replay: a step is cut off or changes what is not there");
    after[place] = (after[place] as number) + numbers.nextSigned();
  }
  return after;
}
