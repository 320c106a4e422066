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
    <aside class="side" aria-label="cogs, events, legend">
      <nav aria-label="panels">
        {TABS.map((name) => (
          <button key={name} aria-pressed={tab.value === name} data-tab={name} onClick={() => (tab.value = name)}>
            {name}
          </button>
        ))}
      </nav>
      <div class="scroll" tabIndex={0} role="region" aria-label={tab.value}>
        {tab.value === "cogs" && (selected.value === null && inspected.value === null ? <Cogs /> : <Discs />)}
        {tab.value === "cogs" && selected.value !== null && <Inspector agent={selected.value} />}
        {tab.value === "cogs" && inspected.value !== null && <Place index={inspected.value} />}
        {tab.value === "events" && <Events />}
        {tab.value === "legend" && <Legend />}
      </div>
    </aside>
  );
}
