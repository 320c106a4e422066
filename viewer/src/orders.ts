/** Orders to the cog that was taken over: it goes to a cell step by step, and uses what stands there. */

import { signal } from "@preact/signals";
import type { Game } from "./game";
import { Col, GONE } from "./header";
import { clock, controlled, game, last, live, order, playing } from "./store";

const MOVES = [
  ["move_north", -1, 0],
  ["move_south", 1, 0],
  ["move_west", 0, -1],
  ["move_east", 0, 1],
] as const;

type Cell = readonly [number, number];

/** Cells from the cog's own to the order's. */
export const way = signal<Cell[]>([]);
let told = -1; // step at which the last move was sent

/** Send the next move once the last one was played; called for every frame. */
export function obey(): void {
  const now = game.value;
  const agent = controlled.value;
  const goal = order.value;
  if (!now || agent === null || !goal) {
    if (way.value.length) way.value = [];
    told = -1;
    return;
  }
  if (told === last.value || (!playing.value && clock.position < last.value)) return;
  told = last.value;
  way.value = route(now, agent, goal);
  const [here, next] = way.value;
  const move = here && next && MOVES.find(([, dr, dc]) => here[0] + dr === next[0] && here[1] + dc === next[1]);
  if (move) live.value?.send({ action: now.world.header.actions.indexOf(move[0]) });
  if (way.value.length <= 2) order.value = null; // the last step of the way, or there is none
}

/** The shortest way around walls, things and other cogs; through the cogs if there is no other; empty if there is none. */
export function route(now: Game, agent: number, goal: Cell): Cell[] {
  const { world, recording } = now;
  const state = recording.state(recording.last);
  const cellOf = (a: number): number => world.agent(state, a, Col.Row) * world.cols + world.agent(state, a, Col.Column);
  const blocked = new Set<number>();
  for (const thing of world.things) if (world.owner(state, thing.index) !== GONE) blocked.add(thing.row * world.cols + thing.col);
  const cogs = new Set(world.header.agents.map((_, a) => cellOf(a)));
  const search = (closed: (cell: number) => boolean): Cell[] => {
    const end = goal[0] * world.cols + goal[1];
    const from = new Map([[cellOf(agent), -1]]);
    for (const cell of from.keys()) {
      if (cell === end) return trace(from, end, world.cols);
      if (cell !== cellOf(agent) && closed(cell)) continue;
      for (const [, dr, dc] of MOVES) {
        const [row, col] = [Math.floor(cell / world.cols) + dr, (cell % world.cols) + dc];
        if (!world.isWall(row, col) && !from.has(row * world.cols + col)) from.set(row * world.cols + col, cell);
      }
    }
    return [];
  };
  const around = search((cell) => blocked.has(cell) || cogs.has(cell));
  return around.length ? around : search((cell) => blocked.has(cell));
}

function trace(from: Map<number, number>, end: number, cols: number): Cell[] {
  const cells: Cell[] = [];
  for (let cell = end; cell >= 0; cell = from.get(cell) ?? -1) cells.push([Math.floor(cell / cols), cell % cols]);
  return cells.reverse();
}
