/** All about one cog: what it does and means to do, what it holds, what it sees. */

import { type Signal, signal } from "@preact/signals";
import { Col, VALUE_UNIT } from "../header";
import type { Token } from "../observe";
import { control, controlled, following, game, growing, select, showSight, state, steers, step } from "../store";
import { CLIPS, INK, elementColour, gearColour } from "../theme";
import { ELEMENTS } from "../world";
import { Bar } from "./Cogs";
import { Icon } from "./Icon";
import { Sight } from "./Sight";

const cell = signal<{ dr: number; dc: number } | null>(null);

export function Inspector({ agent }: { agent: number }) {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world } = now;
  const { header } = world;
  const gear = world.gear(numbers, agent);
  const mine = controlled.value === agent;
  const takes = growing.value && steers.value;
  return (
    <section class="inspector" id="inspector">
      <div class="head">
        <span class="disc big" style={{ background: gearColour(gear) }}>
          {agent}
        </span>
        <div>
          <h2>cog {agent}</h2>
          <p>
            {gear || "no gear"} · {header.policies[header.agents[agent]?.policy ?? 0]}
          </p>
        </div>
        <button class="close" aria-label="close" title="close (Esc)" onClick={() => select(null)}>
          ×
        </button>
      </div>
      <div class="row">
        {takes && (
          <button class={mine ? "strong" : ""} aria-pressed={mine} id="take" onClick={() => control(mine ? null : agent)}>
            {mine ? "Give back" : "Take over"} <kbd>T</kbd>
          </button>
        )}
        <Toggle on={following} id="follow" hint="F">
          Follow
        </Toggle>
        <Toggle on={showSight} id="sight" hint="V">
          Its view
        </Toggle>
      </div>
      {mine && <p class="hint">WASD or arrow keys move it, X waits, 1–7 set its vibe; a click on the map sends it there. Paused, each key plays one step.</p>}
      <Facts agent={agent} />
      <Holdings agent={agent} />
      <Observation agent={agent} />
    </section>
  );
}

function Toggle({ on, id, hint, children }: { on: Signal<boolean>; id: string; hint: string; children: string }) {
  return (
    <button id={id} aria-pressed={on.value} onClick={() => (on.value = !on.value)}>
      {children} <kbd>{hint}</kbd>
    </button>
  );
}

function Facts({ agent }: { agent: number }) {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world, history } = now;
  const { header } = world;
  const of = (column: Col): number => world.agent(numbers, agent, column);
  const action = header.actions[of(Col.Action)] ?? "–";
  const failed = step.value > 0 && !of(Col.Success);
  const target = of(Col.TargetRow) >= 0 ? `${of(Col.TargetRow)}, ${of(Col.TargetColumn)}` : "–";
  const rows: [string, string, string?][] = [
    ["action", step.value ? action : "–", failed ? "failed" : ""],
    ["vibe", header.vibes[of(Col.Vibe)] ?? ""],
    ["score", (history.scores[step.value]?.[agent] ?? 0).toFixed(3)],
    ["row, column", `${of(Col.Row)}, ${of(Col.Column)}`],
  ];
  if (header.roles.length) rows.push(["role", header.roles[of(Col.Role)] ?? "–"]);
  if (header.tasks.length) rows.push(["task", header.tasks[of(Col.Task)] ?? "–"]);
  if (header.roles.length) rows.push(["target", target]);
  if (header.values) rows.push(["value estimate", (of(Col.Value) * VALUE_UNIT).toFixed(2)]);
  return (
    <dl class="facts">
      {rows.map(([name, value, note]) => (
        <div key={name} data-fact={name}>
          <dt>{name}</dt>
          <dd>
            {value} {note && <em class="bad">{note}</em>}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Holdings({ agent }: { agent: number }) {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return null;
  const { world } = now;
  const vitals: [string, string][] = [
    ["hp", INK.good],
    ["energy", INK.accent],
    ["influence", gearColour("aligner")],
  ];
  const hearts = world.held(numbers, agent, "heart");
  const cargo = world.cargo(numbers, agent);
  return (
    <div class="holdings">
      {vitals.map(([name, colour]) => {
        const most = world.limit(numbers, agent, name);
        const value = world.held(numbers, agent, name);
        return (
          <div class="vital" key={name} data-item={name}>
            <span>{name}</span>
            <Bar value={value} most={most} colour={colour} />
            <b>
              {value}
              <small>/{most}</small>
            </b>
          </div>
        );
      })}
      <div class="chips">
        <span class={hearts ? "" : "none"}>
          <Icon name="heart" colour={hearts ? CLIPS : INK.faint} size={14} /> <span class="unseen">hearts</span> {hearts}
        </span>
        {ELEMENTS.map((element) => {
          const amount = world.held(numbers, agent, element);
          return (
            <span key={element} class={amount ? "" : "none"} title={element}>
              <em aria-hidden="true" style={{ color: elementColour(element) }}>
                {element[0]?.toUpperCase()}
              </em>
              <span class="unseen">{element}</span> {amount}
            </span>
          );
        })}
        <small>
          cargo {cargo}/{world.limit(numbers, agent, "carbon")} · solar +{world.held(numbers, agent, "solar")}
        </small>
      </div>
    </div>
  );
}

function Observation({ agent }: { agent: number }) {
  const now = game.value;
  if (!now || !state.value) return null;
  const { tokens, dropped } = now.observer.tokens(step.value, agent);
  const chosen = cell.value;
  const here = (token: Token): boolean =>
    chosen === null ? token.cell === null : token.cell?.dr === chosen.dr && token.cell.dc === chosen.dc;
  const list = tokens.filter(here);
  const place = chosen === null ? "episode and team" : chosen.dr || chosen.dc ? `cell ${sign(chosen.dr)}, ${sign(chosen.dc)}` : "itself";
  return (
    <div class="observation">
      <h3>
        what it sees{" "}
        <small id="tokens">
          {tokens.length} of {now.world.header.sight.tokens} tokens{dropped ? `, ${dropped} more do not fit` : ""}
        </small>
      </h3>
      <Sight agent={agent} chosen={chosen} choose={(at) => (cell.value = at)} />
      <h4>
        {place}
        {chosen !== null && (
          <button class="link" onClick={() => (cell.value = null)}>
            episode and team
          </button>
        )}
      </h4>
      <ul class="tokens">
        {list.map((token, index) => (
          <li key={index}>{now.observer.describe(token)}</li>
        ))}
        {list.length === 0 && <li class="none">nothing</li>}
      </ul>
    </div>
  );
}

const sign = (value: number): string => (value > 0 ? `+${value}` : String(value));
