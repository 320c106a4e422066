/** A recording with all that is derived from it. */

import { History } from "./history";
import { Observer } from "./observe";
import type { Recording } from "./recording";
import type { Look } from "./palette";
import { looksOf } from "./palette";
import type { Owner } from "./theme";
import { drawn } from "./theme";
import { World } from "./world";

export class Game {
  readonly world: World;
  readonly history: History;
  readonly observer: Observer;
  private readonly looks: Look[];
  /** Collectives that have cogs. */
  readonly teams: number[];
  readonly bounds: [number, number, number, number];
  /** Stock of each thing at the start: what a full one has. */
  readonly full: number[];

  constructor(readonly recording: Recording) {
    this.world = new World(recording.header);
    this.history = new History(this.world, recording);
    this.observer = new Observer(this.world, recording);
    this.looks = looksOf(recording.header.collectives);
    this.teams = [...new Set(recording.header.agents.map((each) => each.team))];
    this.bounds = boundsOf(this.world);
    const first = recording.state(0);
    this.full = this.world.things.map((thing) => this.world.stock(first, thing.index));
    this.history.catchUp();
  }

  /** Colour of each collective in id order. */
  get colours(): string[] {
    return this.looks.map((look) => drawn(look).colour);
  }

  colourOf(collective: number): string | null {
    return collective >= 0 ? this.ownerOf(collective).colour : null;
  }

  /** How what belongs to a collective, or to nobody, is drawn. */
  ownerOf(collective: number): Owner {
    return drawn(this.looks[collective]);
  }

  /** How the team of a cog is drawn, where there are several. */
  teamMark(agent: number): Owner | null {
    return this.teams.length > 1 ? this.ownerOf(this.teamOf(agent)) : null;
  }

  teamOf(agent: number): number {
    return this.world.header.agents[agent]?.team ?? 0;
  }
}

/** The box of cells around everything that is no wall: top, left, bottom, right. */
function boundsOf(world: World): [number, number, number, number] {
  let [top, left, bottom, right] = [world.rows - 1, world.cols - 1, 0, 0];
  for (let row = 0; row < world.rows; row++) {
    for (let col = 0; col < world.cols; col++) {
      if (world.isWall(row, col)) continue;
      [top, left] = [Math.min(top, row), Math.min(left, col)];
      [bottom, right] = [Math.max(bottom, row), Math.max(right, col)];
    }
  }
  return [top - 1, left - 1, bottom + 1, right + 1];
}
