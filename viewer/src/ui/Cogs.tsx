/** One line per cog: gear, hp and energy, hearts, cargo, score. */

import { Col } from "../header";
import { controlled, game, select, selected, state, step } from "../store";
import { CLIPS, INK, gearColour } from "../theme";
import { Icon, Mark } from "./Icon";

export function Cogs() {
  const now = game.value;
  if (!now || !state.value) return null;
  return (
    <ul class="cogs">
      {now.world.header.agents.map((_, agent) => (
        <Row key={agent} agent={agent} />
      ))}
    </ul>
  );
}

function Row({ agent }: { agent: number }) {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world, history } = now;
  const held = (item: string): number => world.held(numbers, agent, item);
  const gear = world.gear(numbers, agent);
  const [hp, energy, hearts, cargo] = [held("hp"), held("energy"), held("heart"), world.cargo(numbers, agent)];
  const task = hp === 0 ? "out of hp" : (world.header.tasks[world.agent(numbers, agent, Col.Task)] ?? "");
  const score = (history.scores[step.value]?.[agent] ?? 0).toFixed(2);
  const team = now.teamMark(agent);
  const words = [`cog ${agent}`, team && world.header.collectives[now.teamOf(agent)], gear || "no gear", task, `hp ${hp}`, `energy ${energy}`, `hearts ${hearts}`, `elements ${cargo}`, `score ${score}`];
  return (
    <li>
      <button class={`cog ${hp === 0 ? "down" : ""}`} aria-pressed={agent === selected.value} aria-label={words.filter(Boolean).join(", ")} onClick={() => select(agent === selected.value ? null : agent)} data-cog={agent}>
        <span class="disc" style={{ background: gearColour(gear), borderColor: team?.colour ?? "transparent" }}>
          {agent}
          <TeamMark agent={agent} />
        </span>
        <span class="what">
          <b style={{ color: gear ? gearColour(gear) : undefined }}>{gear || "no gear"}</b>
          <small>{agent === controlled.value ? "you" : task}</small>
        </span>
        <span class="bars">
          <Bar value={hp} most={world.limit(numbers, agent, "hp")} colour={INK.good} title={`hp ${hp}`} />
          <Bar value={energy} most={world.limit(numbers, agent, "energy")} colour={INK.accent} title={`energy ${energy}`} />
        </span>
        <span class="num" title="hearts">
          {hearts > 0 && <Icon name="heart" colour={CLIPS} size={13} />}
          {hearts || ""}
        </span>
        <span class="num dim" title="elements carried">
          {cargo ? `${cargo} el` : ""}
        </span>
        <span class="num score" title="score so far">
          {score}
        </span>
      </button>
    </li>
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
          title={`cog ${agent}`}
          class={`disc ${world.held(numbers, agent, "hp") === 0 ? "down" : ""}`}
          aria-pressed={agent === selected.value}
          style={{ background: gearColour(world.gear(numbers, agent)) }}
          onClick={() => select(agent === selected.value ? null : agent)}
          data-cog={agent}
          aria-label={`cog ${agent}`}
        >
          {agent}
          <TeamMark agent={agent} />
        </button>
      ))}
    </div>
  );
}

function TeamMark({ agent }: { agent: number }) {
  const team = game.value?.teamMark(agent);
  return team ? <Mark owner={team} size={13} /> : null;
}

export function Bar({ value, most, colour, title }: { value: number; most: number; colour: string; title?: string }) {
  const share = Math.min(1, value / Math.max(1, most));
  return (
    <span class="bar" title={title}>
      <i style={{ width: `${100 * share}%`, background: colour }} />
    </span>
  );
}
