import { failure, game } from "../store";
import { About } from "./About";
import { Open } from "./Open";
import { Side } from "./Side";
import { Stage } from "./Stage";
import { Timeline } from "./Timeline";
import { Top } from "./Top";

export function App({ waiting }: { waiting: boolean }) {
  if (!game.value) return <Open waiting={waiting} />;
  return (
    <div class="app">
      <Top />
      <Stage />
      <Side />
      <Timeline />
      <About />
      {failure.value && <p class="failure">{failure.value}</p>}
    </div>
  );
}
