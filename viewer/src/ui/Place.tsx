/** All about one thing of the map: whose it is, what it holds, who used it, as far as the recording tells. */

import type { Game } from "../game";
import type { Use } from "../history";
import { firstAfter } from "../map/view";
import { game, inspected, seek, select, setPlaying, state, step } from "../store";
import { elementColour, gearColour } from "../theme";
import type { Thing } from "../world";

type Row = [name: string, value: string];

export function Place({ index }: { index: number }) {
  const now = game.value;
  const numbers = state.value;
  const thing = now?.world.things[index];
  if (!now || !numbers || !thing) return null;
  const { world, history } = now;
  const all = history.uses[index] ?? [];
  const uses = all.slice(0, firstAfter(all, step.value));
  const last = uses[uses.length - 1];
  const owner = world.owner(numbers, index);
  const rows: Row[] = [
    ["owner", owner >= 0 ? (world.header.collectives[owner] ?? "?") : thing.plain === "junction" ? "neutral" : "nobody"],
    ["row, column", `${thing.row}, ${thing.col}`],
    ...stockOf(now, thing, numbers),
  ];
  if (thing.plain === "junction") rows.push(["changed hands", times(changes(now, thing))]);
  if (world.hasArea(thing)) rows.push(["area", `${world.header.radius} cells around`]);
  return (
    <section class="inspector" id="place">
      <div class="head">
        <span class="disc big" style={{ background: colourOf(now, thing, owner) }}>
          {world.title(thing)[0]?.toUpperCase()}
        </span>
        <div>
          <h2>{world.title(thing)}</h2>
          {thing.name !== world.title(thing) && <p>{thing.name}</p>}
        </div>
        <button class="close" aria-label="close" title="close (Esc)" onClick={() => (inspected.value = null)}>
          ×
        </button>
      </div>
      <dl class="facts">
        {rows.map(([name, value]) => (
          <div key={name} data-fact={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div data-fact="used">
          <dt>used</dt>
          <dd>{times(uses.length)}</dd>
        </div>
        {last && (
          <div data-fact="last used" class="wide">
            <dt>last used</dt>
            <dd>
              <button class="link" onClick={() => (setPlaying(false), seek(last.step), (inspected.value = index))}>
                step {last.step}
              </button>{" "}
              by cog {last.agent}
              {gains(now, last)}
            </dd>
          </div>
        )}
      </dl>
      {uses.length > 0 && <Users now={now} uses={uses} />}
    </section>
  );
}

/** Cogs by how often they used it. */
function Users({ now, uses }: { now: Game; uses: Use[] }) {
  const counts = new Map<number, number>();
  for (const { agent } of uses) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  const numbers = state.value;
  return (
    <div class="places" id="users">
      {[...counts]
        .sort((a, b) => b[1] - a[1])
        .map(([agent, count]) => (
          <button key={agent} onClick={() => select(agent)} title={`inspect cog ${agent}`}>
            <span class="disc" style={{ background: gearColour(numbers ? now.world.gear(numbers, agent) : "") }}>
              {agent}
            </span>
            {times(count)}
          </button>
        ))}
    </div>
  );
}

const times = (count: number): string => (count === 1 ? "once" : count ? `${count} times` : "never");

function stockOf(now: Game, thing: Thing, numbers: Int32Array): Row[] {
  const { world, full } = now;
  const item = world.header.resources[world.header.types[thing.type]?.item ?? -1];
  if (thing.plain === "station") return [["gives", `${thing.gives} gear`]];
  if (!item) return [];
  const stock = world.stock(numbers, thing.index);
  return [[item, thing.plain === "extractor" ? `${stock} of ${full[thing.index]} left` : String(stock)]];
}

function changes(now: Game, thing: Thing): number {
  const { events } = now.history;
  const isOne = (kind: string): boolean => kind === "align" || kind === "scramble" || kind === "clips";
  return events.filter((event) => event.step <= step.value && isOne(event.kind) && event.row === thing.row && event.col === thing.col).length;
}

/** What the user's inventory got and lost in that step, but for hp and energy, which areas change too. */
function gains(now: Game, { step: at, agent }: Use): string {
  const { world, recording } = now;
  const [before, after] = [recording.state(at - 1), recording.state(at)];
  const found = world.header.resources
    .filter((name) => !["hp", "energy", "solar", "influence"].includes(name))
    .map((name) => ({ name, change: world.held(after, agent, name) - world.held(before, agent, name) }))
    .filter(({ change }) => change !== 0)
    .map(({ name, change }) => `${change > 0 ? "+" : "−"}${Math.abs(change)} ${name}`);
  return found.length ? `: ${found.join(", ")}` : "";
}

function colourOf(now: Game, thing: Thing, owner: number): string {
  if (thing.plain === "station") return gearColour(thing.gives);
  return thing.plain === "extractor" ? elementColour(thing.gives) : now.ownerOf(owner).colour;
}
