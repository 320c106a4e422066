/** What the keyboard does for a cog, as buttons: take it over, move it, let it wait, give it a vibe. */

import { steer } from "../keys";
import { control, controlled, game, growing, selected, state, steers } from "../store";
import { Col } from "../header";

const WAYS = [
  ["w", "↑", "north"],
  ["a", "←", "west"],
  ["x", "•", "wait"],
  ["d", "→", "east"],
  ["s", "↓", "south"],
] as const;

export function Pad() {
  const now = game.value;
  const mine = controlled.value;
  const agent = mine ?? selected.value;
  if (!now || !growing.value || !steers.value || agent === null) return null;
  if (mine === null) {
    return (
      <div class="pad idle">
        <button onClick={() => control(agent)}>Take cog {agent} over</button>
      </div>
    );
  }
  const { vibes, actions } = now.world.header;
  const vibe = state.value ? now.world.agent(state.value, mine, Col.Vibe) : 0;
  return (
    <div class="pad" role="group" aria-label={`cog ${mine}`}>
      <div class="ways">
        {WAYS.map(([key, sign, name]) => (
          <button key={key} class={name} aria-label={name} onClick={() => steer(key)}>
            {sign}
          </button>
        ))}
      </div>
      <div class="other">
        <button onClick={() => control(null)}>Give back</button>
        {actions.some((action) => action.startsWith("change_vibe_")) && (
          <select aria-label="vibe" value={vibe} onChange={(event) => steer(String(Number(event.currentTarget.value) + 1))}>
            {vibes.map((name, index) => (
              <option key={name} value={index}>
                {name}
              </option>
            ))}
          </select>
        )}
      </div>
    </div>
  );
}
