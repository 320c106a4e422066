/** The line above the map: what is played, how the teams stand. */

import { game, live, state, step } from "../store";
import { CLIPS, elementColour } from "../theme";
import { ELEMENTS } from "../world";
import { Icon } from "./Icon";
import { Tools } from "./Tools";

export function Top() {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world } = now;
  const { header } = world;
  const held = now.history.held[step.value];
  const { teams } = now;
  const neutral = world.things.filter((thing) => thing.plain === "junction").length - (held?.reduce((a, b) => a + b, 0) ?? 0);
  const hubs = (team: number): number =>
    world.things.filter((thing) => thing.plain === "hub" && world.owner(numbers, thing.index) === team).reduce((sum, hub) => sum + world.stock(numbers, hub.index), 0);
  return (
    <header class="top">
      <div class="title">
        <h1>{header.mission}</h1>
        <p title={header.policies.join(", ")}>
          {header.policies.join(", ")}
          {header.variants.length > 0 && ` · ${header.variants.join(", ")}`} · seed {header.seed}
        </p>
      </div>
      {live.value && <LiveMark />}
      <section class="group" aria-label="junctions">
        <label>junctions</label>
        {header.collectives.map((name, index) => (
          <span key={name} class="count" data-held={name}>
            <i style={{ background: now.colours[index] }} />
            {name} <b>{held?.[index] ?? 0}</b>
          </span>
        ))}
        <span class="count">
          <i class="hollow" />
          neutral <b>{neutral}</b>
        </span>
      </section>
      {teams.map((team) => (
        <section class="group stock" key={team} aria-label="team stock">
          <label style={teams.length > 1 ? { color: now.colours[team] } : {}}>{teams.length > 1 ? header.collectives[team] : "team stock"}</label>
          {teams.length > 1 && (
            <span class="count" data-score={header.collectives[team]} title="mean score of its cogs so far">
              score <b>{now.history.mean(step.value, team).toFixed(2)}</b>
            </span>
          )}
          {ELEMENTS.map((element) => (
            <span class="count" key={element} title={element}>
              <em style={{ color: elementColour(element) }}>{element[0]?.toUpperCase()}</em> <b>{world.team(numbers, team, element)}</b>
            </span>
          ))}
          <span class="count" title="hearts in the hub">
            <Icon name="heart" colour={CLIPS} size={14} /> <b>{hubs(team)}</b>
          </span>
        </section>
      ))}
      <Tools />
    </header>
  );
}

function LiveMark() {
  const source = live.value;
  const word = source?.ended.value ? "ended" : source?.lost.value ? "offline" : "live";
  return <span class={`mark ${word === "live" ? "live" : ""}`}>{word}</span>;
}
