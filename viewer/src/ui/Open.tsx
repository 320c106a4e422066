/** Shown without a replay: a place to drop one. */

import { openFile } from "../open";
import { failure } from "../store";

export function Open({ waiting }: { waiting: boolean }) {
  if (waiting && !failure.value) return <div class="open">opening …</div>;
  return (
    <div class="open">
      <h1>CoGsGuard replays</h1>
      <p>Drop a replay file here, or</p>
      <label class="file">
        choose one
        <input type="file" id="file" onChange={(event) => event.currentTarget.files?.[0] && void openFile(event.currentTarget.files[0])} />
      </label>
      {failure.value && <p class="failure">{failure.value}</p>}
    </div>
  );
}
