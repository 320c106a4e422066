/** What is laid over the map, sharing, and the card for newcomers. */

import type { Signal } from "@preact/signals";
import { about, showAreas, showVisits } from "../store";
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
      <button id="about" onClick={() => (about.value = true)} title="what is this? (?)">
        ?
      </button>
    </div>
  );
}

function Toggle({ id, on, title, children }: { id: string; on: Signal<boolean>; title: string; children: string }) {
  return (
    <button id={id} class={on.value ? "on" : ""} aria-pressed={on.value} title={title} onClick={() => (on.value = !on.value)}>
      {children}
    </button>
  );
}
