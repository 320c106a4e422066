/** The panel beside the map: cogs, events or the legend; the inspector of a selected cog. */

import { inspected, selected, tab } from "../store";
import { Cogs, Discs } from "./Cogs";
import { Events } from "./Events";
import { Inspector } from "./Inspector";
import { Legend } from "./Legend";
import { Place } from "./Place";

const TABS = ["cogs", "events", "legend"] as const;

export function Side() {
  return (
    <aside class="side">
      <nav>
        {TABS.map((name) => (
          <button key={name} class={tab.value === name ? "on" : ""} data-tab={name} onClick={() => (tab.value = name)}>
            {name}
          </button>
        ))}
      </nav>
      <div class="scroll">
        {tab.value === "cogs" && (selected.value === null && inspected.value === null ? <Cogs /> : <Discs />)}
        {tab.value === "cogs" && selected.value !== null && <Inspector agent={selected.value} />}
        {tab.value === "cogs" && inspected.value !== null && <Place index={inspected.value} />}
        {tab.value === "events" && <Events />}
        {tab.value === "legend" && <Legend />}
      </div>
    </aside>
  );
}
