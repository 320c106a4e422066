/** What has happened so far, the newest first; a click goes there. */

import type { GameEvent } from "../history";
import { firstAfter } from "../map/view";
import { game, seek, select, setPlaying, step } from "../store";
import type { Owner } from "../theme";
import { clips } from "../theme";
import { Mark } from "./Icon";

const SHOWN = 200;

export function Events() {
  const now = game.value;
  if (!now) return null;
  const { events } = now.history;
  const end = firstAfter(events, step.value);
  const recent = events.slice(Math.max(0, end - SHOWN), end).reverse();
  const owner = ({ kind, agent }: GameEvent): Owner | null =>
    kind === "clips" || kind === "death" ? clips() : kind === "align" || kind === "scramble" ? now.ownerOf(now.teamOf(agent)) : null;
  const go = (event: GameEvent): void => {
    setPlaying(false);
    seek(event.step);
    if (event.agent >= 0) select(event.agent);
  };
  return (
    <ol class="events">
      {recent.map((event, index) => (
        <Line key={end - index} event={event} owner={owner(event)} go={go} />
      ))}
      {recent.length === 0 && <li class="none">nothing yet</li>}
    </ol>
  );
}

function Line({ event, owner, go }: { event: GameEvent; owner: Owner | null; go: (event: GameEvent) => void }) {
  return (
    <li>
      <button aria-label={`step ${event.step}: ${event.text}`} onClick={() => go(event)}>
        <span class="when">{event.step}</span>
        {owner ? <Mark owner={owner} /> : <i />}
        <span>{event.text}</span>
      </button>
    </li>
  );
}
