/** What is laid over the map, sharing, and the card for newcomers. */

import type { Signal } from "@preact/signals";
import { about, keysShown, showAreas, showVisits } from "../store";
import { switchTheme, theme } from "../theme";
import { share } from "./share";

export function Tools() {
  return (
    <div class="tools">
      <Toggle id="areas" on={showAreas} title="show areas (A)">
        Areas
      </Toggle>
      <Toggle id="visits" on={showVisits} title="heat map: how often cogs were in each cell so far; of the selected cog alone if there is one (H)">
        Visits
      </Toggle>
      <button id="share" onClick={() => void share()} title="save this replay as one HTML file">
        Share
      </button>
      <button id="theme" aria-label="light theme" aria-pressed={theme.value === "light"} onClick={switchTheme} title="light or dark">
        ◐
      </button>
      <button id="help" aria-label="keys" onClick={() => (keysShown.value = true)} title="keys (?)">
        ?
      </button>
      <button id="about" aria-label="what is this?" onClick={() => (about.value = true)} title="what is this? (I)">
        i
      </button>
    </div>
  );
}

function Toggle({ id, on, title, children }: { id: string; on: Signal<boolean>; title: string; children: string }) {
  return (
    <button id={id} aria-pressed={on.value} title={title} onClick={() => (on.value = !on.value)}>
      {children}
    </button>
  );
}
