/** Shown without a replay: a place to drop one. */

import { failure } from "../store";

export function Open({ open, waiting }: { open: (bytes: Uint8Array) => Promise<void>; waiting: boolean }) {
  const take = async (file: File | undefined): Promise<void> => {
    if (file) await open(new Uint8Array(await file.arrayBuffer()));
  };
  if (waiting) return <div class="open">opening …</div>;
  return (
    <div
      class="open"
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        void take(event.dataTransfer?.files[0]);
      }}
    >
      <h1>CoGsGuard replays</h1>
      <p>Drop a replay file here, or</p>
      <label class="file">
        choose one
        <input type="file" id="file" onChange={(event) => void take(event.currentTarget.files?.[0])} />
      </label>
      {failure.value && <p class="failure">{failure.value}</p>}
    </div>
  );
}
