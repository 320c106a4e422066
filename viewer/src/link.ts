/** Links to a step: `#step=350` in the page's address. */

import { effect } from "@preact/signals";
import { game, growing, playing, seek, setPlaying, step } from "./store";

/** The step that the address names; null where it names none. */
export function linkedStep(): number | null {
  const found = /^#step=(\d{1,9})$/.exec(location.hash);
  return found ? Number(found[1]) : null;
}

/** Go where the address says, and let it say where the page stands while it is paused. */
export function keepLink(): void {
  addEventListener("hashchange", () => {
    const linked = linkedStep();
    if (linked === null) return;
    setPlaying(false);
    seek(linked);
  });
  effect(() => {
    if (!game.value || location.protocol === "about:") return;
    const place = growing.value || playing.value ? location.pathname + location.search : `#step=${step.value}`;
    history.replaceState(null, "", place);
  });
}
