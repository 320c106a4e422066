/** Chunks of a replay file that were written step by step, by a program that did not come to pack them. */

/** The whole steps of an open chunk that begins at `at`, at most `most`: their bytes, and where the next chunk begins. */
export function openSteps(bytes: Uint8Array, view: DataView, at: number, most: number): { parts: Uint8Array[]; next: number } {
  const parts: Uint8Array[] = [];
  while (parts.length < most) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : 0;
    const end = at + 4 + length;
    if (!length || end > bytes.length) return { parts, next: bytes.length }; // its writer was ended here
    parts.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return { parts, next: at };
}
