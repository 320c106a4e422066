/** The line above the map: what is played, how the teams stand. */

import { NOBODY } from "../header";
import { game, live, state, step } from "../store";
import { CLIPS, elementColour } from "../theme";
import { ELEMENTS } from "../world";
import { Icon, Mark } from "./Icon";
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
      {now.recording.cut && (
        <span class="mark" data-cut title="the program that recorded it was ended before the game was">
          cut after step {now.recording.last}
        </span>
      )}
      <section class="group" aria-label="junctions">
        <span class="label">junctions</span>
        {header.collectives.map((name, index) => (
          <span key={name} class="count" data-held={name}>
            <Mark owner={now.ownerOf(index)} />
            {name} <b>{held?.[index] ?? 0}</b>
          </span>
        ))}
        <span class="count">
          <Mark owner={now.ownerOf(NOBODY)} />
          neutral <b>{neutral}</b>
        </span>
      </section>
      {teams.map((team) => (
        <section class="group stock" key={team} aria-label={`stock of ${header.collectives[team]}`}>
          <span class="label">
            {teams.length > 1 && <Mark owner={now.ownerOf(team)} />} {teams.length > 1 ? header.collectives[team] : "team stock"}
          </span>
          {teams.length > 1 && (
            <span class="count" data-score={header.collectives[team]} title="mean score of its cogs so far">
              score <b>{now.history.mean(step.value, team).toFixed(2)}</b>
            </span>
          )}
          {ELEMENTS.map((element) => (
            <span class="count" key={element} title={element}>
              <em aria-hidden="true" style={{ color: elementColour(element) }}>
                {element[0]?.toUpperCase()}
              </em>
              <span class="unseen">{element}</span> <b>{world.team(numbers, team, element)}</b>
            </span>
          ))}
          <span class="count" title="hearts in the hub">
            <Icon name="heart" colour={CLIPS} size={14} /> <span class="unseen">hearts in the hub</span> <b>{hubs(team)}</b>
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
