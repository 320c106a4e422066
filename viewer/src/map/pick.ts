/** What the pointer means: the nearest cog or thing within its reach. */

import type { Game } from "../game";
import { Col, GONE } from "../header";
import type { Thing } from "../world";
import type { Camera } from "./camera";

const REACH = 18; // pixels
const LEAST_REACH = 0.75; // cells
const PREFERENCE = 0.25; // cells by which a cog may be farther than a thing
const SAMPLES = 4; // of a cog's way, per step
const AGING = 0.05; // cells that a cog counts as farther per step that it has moved on

export interface Found {
  agent?: number;
  thing?: Thing;
  row: number;
  col: number;
}

/** Row and column of an agent at a time between steps. */
export function placeOf(game: Game, agent: number, position: number): [number, number] {
  const { world, recording } = game;
  const from = Math.floor(position);
  const [now, next] = [recording.state(from), recording.state(Math.min(recording.last, from + 1))];
  const t = position - from;
  const ease = t * t * (3 - 2 * t);
  const mix = (column: Col): number => {
    const start = world.agent(now, agent, column);
    return start + (world.agent(next, agent, column) - start) * ease;
  };
  return [mix(Col.Row), mix(Col.Column)];
}

/** The cog or thing at a pixel. Cogs count where they are, and where they were up to `late` steps ago: the hand follows
 *  the eye, and what moves has moved on when it presses. */
export function pick(game: Game, camera: Camera, pixel: [number, number], position: number, late: number): Found {
  const [x, y] = camera.toMap(...pixel);
  const found: Found = { row: Math.round(y), col: Math.round(x) };
  const { world, recording } = game;
  let nearest = Math.max(LEAST_REACH, REACH / camera.zoom);
  for (let agent = 0; agent < world.agents; agent++) {
    for (let back = 0; back <= Math.min(late, position); back += 1 / SAMPLES) {
      const [row, col] = placeOf(game, agent, position - back);
      const distance = Math.hypot(x - col, y - row) + back * AGING;
      if (distance < nearest) [nearest, found.agent] = [distance, agent];
    }
  }
  const state = recording.state(Math.floor(position));
  let bound = found.agent === undefined ? nearest : nearest - PREFERENCE;
  for (const thing of world.things) {
    const distance = Math.hypot(x - thing.col, y - thing.row);
    if (distance >= bound || world.owner(state, thing.index) === GONE) continue;
    [bound, found.thing, found.agent] = [distance, thing, undefined];
  }
  return found;
}
