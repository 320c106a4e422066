/** What has happened so far, the newest first; a click goes there. */

import { firstAfter } from "../map/view";
import { game, seek, select, setPlaying, step } from "../store";
import { CLIPS, INK } from "../theme";

const SHOWN = 200;

export function Events() {
  const now = game.value;
  if (!now) return null;
  const { events } = now.history;
  const end = firstAfter(events, step.value);
  const recent = events.slice(Math.max(0, end - SHOWN), end).reverse();
  const colour = (kind: string, agent: number): string =>
    kind === "clips" || kind === "death" ? CLIPS : kind === "align" || kind === "scramble" ? (now.colourOf(now.teamOf(agent)) ?? INK.dim) : INK.faint;
  return (
    <ol class="events">
      {recent.map((event, index) => (
        <li
          key={end - index}
          onClick={() => {
            setPlaying(false);
            seek(event.step);
            if (event.agent >= 0) select(event.agent);
          }}
        >
          <span class="when">{event.step}</span>
          <i style={{ background: colour(event.kind, event.agent) }} />
          <span>{event.text}</span>
        </li>
      ))}
      {recent.length === 0 && <li class="none">nothing yet</li>}
    </ol>
  );
}
