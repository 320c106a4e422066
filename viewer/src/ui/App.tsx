import { failure, game, keysShown, playing, step } from "../store";
import { KeysDialog } from "./Keys";
import { Open } from "./Open";
import { Side } from "./Side";
import { Stage } from "./Stage";
import { Timeline } from "./Timeline";
import { Top } from "./Top";

export function App({ open }: { open: (bytes: Uint8Array) => Promise<void> }) {
  const now = game.value;
  if (!now) return <Open open={open} waiting={failure.value === "" && document.getElementById("source")?.textContent !== "null"} />;
  return (
    <div class="app">
      <Stage />
      <Timeline />
      <Top />
      <Side />
      {failure.value && (
        <p class="failure" role="alert">
          {failure.value}
        </p>
      )}
      <p class="unseen" role="status">
        {playing.value ? "playing" : `paused at step ${step.value}, mean score ${now.history.mean(step.value).toFixed(3)}`}
      </p>
      {keysShown.value && <KeysDialog />}
    </div>
  );
}
