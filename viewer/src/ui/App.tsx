import { failure, game } from "../store";
import { Open } from "./Open";
import { Side } from "./Side";
import { Stage } from "./Stage";
import { Timeline } from "./Timeline";
import { Top } from "./Top";

export function App({ open }: { open: (bytes: Uint8Array) => Promise<void> }) {
  if (!game.value) return <Open open={open} waiting={failure.value === "" && document.getElementById("source")?.textContent !== "null"} />;
  return (
    <div class="app">
      <Top />
      <Stage />
      <Side />
      <Timeline />
      {failure.value && <p class="failure">{failure.value}</p>}
    </div>
  );
}
