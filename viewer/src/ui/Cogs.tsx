/** One line per cog: gear, hp and energy, hearts, cargo, score. */

import { Col } from "../header";
import { controlled, game, select, selected, state, step } from "../store";
import { CLIPS, gearColour } from "../theme";
import { Icon } from "./Icon";

export function Cogs() {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world, history } = now;
  const scores = history.scores[step.value];
  return (
    <ul class="cogs">
      {world.header.agents.map((info, agent) => {
        const gear = world.gear(numbers, agent);
        const hp = world.held(numbers, agent, "hp");
        const energy = world.held(numbers, agent, "energy");
        const cargo = world.cargo(numbers, agent);
        const hearts = world.held(numbers, agent, "heart");
        const task = world.header.tasks[world.agent(numbers, agent, Col.Task)];
        return (
          <li key={agent} class={`${agent === selected.value ? "on" : ""} ${hp === 0 ? "down" : ""}`} onClick={() => select(agent === selected.value ? null : agent)} data-cog={agent}>
            <span class="disc" style={{ background: gearColour(gear), borderColor: now.teams.length > 1 ? now.colours[info.team] : "transparent" }}>
              {agent}
            </span>
            <span class="what">
              <b style={{ color: gear ? gearColour(gear) : undefined }}>{gear || "no gear"}</b>
              <small>{agent === controlled.value ? "you" : (task ?? "")}</small>
            </span>
            <span class="bars">
              <Bar value={hp} most={world.limit(numbers, agent, "hp")} colour="#4ade80" title={`hp ${hp}`} />
              <Bar value={energy} most={world.limit(numbers, agent, "energy")} colour="#5ec8ff" title={`energy ${energy}`} />
            </span>
            <span class="num" title="hearts">
              {hearts > 0 && <Icon name="heart" colour={CLIPS} size={13} />}
              {hearts || ""}
            </span>
            <span class="num dim" title="elements carried">
              {cargo ? `${cargo} el` : ""}
            </span>
            <span class="num score" title="score so far">
              {(scores?.[agent] ?? 0).toFixed(2)}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** All cogs in little, above the inspector of one. */
export function Discs() {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world } = now;
  return (
    <div class="discs">
      {world.header.agents.map((_, agent) => (
        <button
          key={agent}
          class={`disc ${agent === selected.value ? "on" : ""} ${world.held(numbers, agent, "hp") === 0 ? "down" : ""}`}
          style={{ background: gearColour(world.gear(numbers, agent)) }}
          onClick={() => select(agent === selected.value ? null : agent)}
          data-cog={agent}
          title={`cog ${agent}`}
        >
          {agent}
        </button>
      ))}
    </div>
  );
}

export function Bar({ value, most, colour, title }: { value: number; most: number; colour: string; title?: string }) {
  const share = Math.min(1, value / Math.max(1, most));
  return (
    <span class="bar" title={title}>
      <i style={{ width: `${100 * share}%`, background: colour }} />
    </span>
  );
}
