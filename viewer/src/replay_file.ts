/** Replay files, version 1 (docs/replays.md): bytes in, bytes out. What is damaged, endless or of another kind is refused
 *  with one line, with the limits and in the words of metta/eval/replay. */

import type { Header } from "./header";
import schema from "./header.schema.json";
import { Numbers } from "./numbers";
import { openSteps } from "./open_chunk";
import { CHUNK_STEPS, Recording } from "./recording";
import { type Schema, problem } from "./schema";

const MAGIC = "COGREPLY";
const VERSION = 1;
export const MOST_BYTES = 2 ** 28; // of a file
const MOST_HEADER = 2 ** 24; // of the header, unpacked
const MOST_CHUNK = 2 ** 23; // of a chunk, unpacked
const MOST_CELLS = 2 ** 20;
const MOST_LINE = 200; // characters of an error
// What the library reads piece by piece the page holds whole.
const MOST_UNPACKED = 2 ** 28; // bytes of all chunks
const MOST_WORK = 2 ** 28; // numbers compared from step to step, and cells of areas painted

/** The recording in a file. Throws an Error with a line for people. */
export async function readReplay(bytes: Uint8Array): Promise<Recording> {
  if (bytes.length > MOST_BYTES) throw new Error(tooLarge());
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 16 || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) throw new Error("no replay");
  const version = view.getUint32(8, true);
  if (version !== VERSION) throw new Error(`a replay of version ${version}; this program reads version ${VERSION}`);
  try {
    return await readParts(bytes, view);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`damaged replay: ${why.slice(0, MOST_LINE).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")}`);
  }
}

export const tooLarge = (): string => `larger than ${MOST_BYTES.toLocaleString("en")} bytes`;

async function readParts(bytes: Uint8Array, view: DataView): Promise<Recording> {
  const start = 16 + view.getUint32(12, true);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(await inflate(bytes.subarray(16, start), MOST_HEADER));
  const header = parse(text);
  check(header);
  const chunks = splitChunks(bytes, view, start, header.max_steps);
  checkWork(header, chunks);
  let recording: Recording | null = null;
  let left = MOST_UNPACKED;
  for (const { data, steps, open } of chunks) {
    const body = new Numbers(open ? data : await inflate(data, MOST_CHUNK));
    left -= body.bytes.length;
    if (left < 0) throw new Error(`its steps take more than ${MOST_UNPACKED.toLocaleString("en")} bytes unpacked`);
    recording ??= new Recording(header, text, Recording.key(body, header));
    recording.readChunk(body, steps);
    recording.cut = open && recording.last < header.max_steps;
  }
  return recording as Recording;
}

function parse(text: string): Header {
  try {
    return JSON.parse(text) as Header;
  } catch {
    throw new Error("Invalid JSON");
  }
}

/** What the library checks of a header. */
function check(header: Header): void {
  const found = problem(header, schema as Schema);
  if (found) throw new Error(found);
  const { map, agents, objects, collectives, policies, types } = header;
  const width = map[0]?.length ?? 0;
  if (width * map.length > MOST_CELLS || map.some((row) => row.length !== width)) throw new Error("the map is too large or no rectangle");
  if (agents.some((agent) => agent.team >= collectives.length || agent.policy >= policies.length)) {
    throw new Error("an agent's team or policy is not listed");
  }
  if (objects.some((each) => each.type >= types.length || each.row >= map.length || each.col >= width)) {
    throw new Error("an object's type is not listed or its place lies outside the map");
  }
}

interface Chunk {
  steps: number;
  data: Uint8Array;
  /** Written step by step, not packed. */
  open: boolean;
}

function splitChunks(bytes: Uint8Array, view: DataView, at: number, maxSteps: number): Chunk[] {
  const chunks: Chunk[] = [];
  while (at < bytes.length) {
    if (at + 12 > bytes.length) {
      if (chunks[chunks.length - 1]?.open) break; // its writer was ended here
      throw new Error("a chunk is cut off or out of place");
    }
    const [first, steps, length] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true)) as [number, number, number];
    at += 12;
    const chunk: Chunk = { steps, data: bytes.subarray(at, at + length), open: !steps && !length };
    at += length;
    if (chunk.open) {
      const { parts, next } = openSteps(bytes, view, at, CHUNK_STEPS);
      [chunk.steps, chunk.data, at] = [parts.length, joined(parts), next];
      if (chunk.data.length > MOST_CHUNK) throw new Error("a part is too large");
      if (!chunk.steps && chunks.length) break;
    }
    if (first !== chunks.length * CHUNK_STEPS || chunk.steps < 1 || chunk.steps > CHUNK_STEPS || at > bytes.length) {
      throw new Error("a chunk is cut off or out of place");
    }
    if (first + chunk.steps > maxSteps + 1) throw new Error(`more than the ${maxSteps} steps of the episode`);
    chunks.push(chunk);
  }
  if (!chunks.length || chunks.slice(0, -1).some(({ steps }) => steps !== CHUNK_STEPS)) throw new Error("steps are missing");
  return chunks;
}

/** The page follows every step and paints every area: it refuses what would hold it up for minutes. */
function checkWork(header: Header, chunks: Chunk[]): void {
  const steps = chunks.length * CHUNK_STEPS;
  const sources = header.objects.filter(({ type }) => /(junction|hub)$/.test(header.types[type]?.name ?? "")).length;
  const cells = header.map.length * (header.map[0]?.length ?? 0);
  const work = steps * Recording.size(header) + sources * Math.min(cells, (2 * header.radius + 1) ** 2);
  if (work > MOST_WORK) throw new Error(`${steps} steps with ${header.agents.length} agents and ${header.objects.length} objects are too much for a page`);
}

/** Unpack at most `most` bytes. */
async function inflate(packed: Uint8Array, most: number): Promise<Uint8Array> {
  const reader = through(packed, new DecompressionStream("deflate")).getReader();
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return joined(parts);
      size += value.length;
      if (size > most) break;
      parts.push(value);
    }
  } catch {
    // what is cut off or no zlib ends here too
  }
  void reader.cancel().catch(() => undefined);
  throw new Error("a part is cut off or too large");
}

const through = (bytes: Uint8Array, stream: TransformStream): ReadableStream<Uint8Array> =>
  new Blob([bytes as BlobPart]).stream().pipeThrough(stream);

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The file of a recording. */
export async function writeReplay(recording: Recording): Promise<Uint8Array> {
  const { header } = recording;
  const deflate = async (bytes: Uint8Array): Promise<Uint8Array> =>
    new Uint8Array(await new Response(through(bytes, new CompressionStream("deflate"))).arrayBuffer());
  const text = recording.text.replace(/"values": ?(?:true|false)/, `"values":${header.values}`);
  const top = await deflate(new TextEncoder().encode(text));
  const parts = [new TextEncoder().encode(MAGIC), words(VERSION, top.length), top];
  let first = 0;
  for (const { steps, bytes } of recording.chunks()) {
    const body = await deflate(joined(bytes));
    parts.push(words(first, steps, body.length), body);
    first += steps;
  }
  return joined(parts);
}

function words(...numbers: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, index) => view.setUint32(4 * index, number, true));
  return new Uint8Array(view.buffer);
}
