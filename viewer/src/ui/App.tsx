import { about, failure, game, keysShown, playing, step } from "../store";
import { About } from "./About";
import { KeysDialog } from "./Keys";
import { Open } from "./Open";
import { Side } from "./Side";
import { Stage } from "./Stage";
import { Timeline } from "./Timeline";
import { Top } from "./Top";

export function App({ waiting }: { waiting: boolean }) {
  const now = game.value;
  if (!now) return <Open waiting={waiting} />;
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
      {about.value && <About />}
      {keysShown.value && <KeysDialog />}
    </div>
  );
}
