/** What happened: curves and events, gathered in one pass over the states. */

import { Col, GONE, NOBODY, REWARD_UNIT } from "./header";
import type { Recording } from "./recording";
import type { World } from "./world";
import { GEAR } from "./world";

export type EventKind = "align" | "scramble" | "clips" | "gear" | "heart" | "death";

export interface GameEvent {
  step: number;
  kind: EventKind;
  text: string;
  agent: number;
  row: number;
  col: number;
}

/** A cog's successful move at a thing. */
export interface Use {
  step: number;
  agent: number;
}

const WAYS = [
  [0, 0],
  [-1, 0],
  [1, 0],
  [0, -1],
  [0, 1],
] as const;

export class History {
  /** Return so far of each agent at each step. */
  readonly scores: Float64Array[] = [];
  /** Junctions that each collective holds at each step. */
  readonly held: Uint16Array[] = [];
  readonly events: GameEvent[] = [];
  /** By thing: who used it, the oldest first. */
  readonly uses: Use[][];
  /** Cell of each agent at each step: row x columns of the map + column. */
  readonly cells: Int32Array[] = [];
  private before: Int32Array | null = null;

  constructor(
    readonly world: World,
    readonly recording: Recording,
  ) {
    this.uses = world.things.map(() => []);
  }

  get length(): number {
    return this.scores.length;
  }

  /** Take in the steps that the recording has gained. */
  catchUp(): void {
    while (this.length <= this.recording.last) this.add(this.length, this.recording.state(this.length));
  }

  /** Mean return of the agents, or of those of a team, after `step` steps. */
  mean(step: number, team: number | null = null): number {
    const scores = [...(this.scores[step] ?? [])].filter((_, agent) => team === null || this.world.header.agents[agent]?.team === team);
    return scores.reduce((sum, score) => sum + score, 0) / Math.max(1, scores.length);
  }

  private add(step: number, state: Int32Array): void {
    const { world, before } = this;
    const scores = new Float64Array(world.agents);
    const cells = new Int32Array(world.agents);
    const last = this.scores[step - 1];
    for (let a = 0; a < world.agents; a++) {
      scores[a] = (last?.[a] ?? 0) + world.agent(state, a, Col.Reward) * REWARD_UNIT;
      cells[a] = world.agent(state, a, Col.Row) * world.cols + world.agent(state, a, Col.Column);
    }
    const held = new Uint16Array(world.header.collectives.length);
    for (const thing of world.things) {
      const owner = world.owner(state, thing.index);
      if (thing.plain === "junction" && owner >= 0) held[owner] = (held[owner] ?? 0) + 1;
    }
    this.scores.push(scores);
    this.held.push(held);
    this.cells.push(cells);
    if (before) {
      this.noteUses(step, before, state);
      this.compareObjects(step, before, state);
      this.compareAgents(step, before, state);
    }
    this.before = state;
  }

  private noteUses(step: number, before: Int32Array, state: Int32Array): void {
    const { world } = this;
    for (let agent = 0; agent < world.agents; agent++) {
      const at = this.aim(before, state, agent);
      const thing = at && world.thingAt(...at);
      const stayed = this.cells[step]?.[agent] === this.cells[step - 1]?.[agent];
      if (thing && stayed && world.owner(before, thing.index) !== GONE) this.uses[thing.index]?.push({ step, agent });
    }
  }

  private compareObjects(step: number, before: Int32Array, state: Int32Array): void {
    const { world } = this;
    const names = world.header.collectives;
    for (const thing of world.things) {
      const was = world.owner(before, thing.index);
      const now = world.owner(state, thing.index);
      if (was === now) continue;
      const place = { row: thing.row, col: thing.col };
      if (now === GONE) continue;
      const agent = this.user(before, state, thing.row, thing.col);
      const who = agent === NOBODY ? "clips" : `cog ${agent}`;
      if (now === NOBODY) {
        const text = `${who} freed a junction of ${names[was]}`;
        this.events.push({ step, kind: agent === NOBODY ? "clips" : "scramble", text, agent, ...place });
      } else {
        const text = agent === NOBODY ? `${names[now]} took a junction` : `${who} aligned a junction`;
        this.events.push({ step, kind: agent === NOBODY ? "clips" : "align", text, agent, ...place });
      }
    }
  }

  /** The agent whose successful move went at a cell. */
  private user(before: Int32Array, state: Int32Array, row: number, col: number): number {
    for (let a = 0; a < this.world.agents; a++) {
      const at = this.aim(before, state, a);
      if (at && at[0] === row && at[1] === col) return a;
    }
    return NOBODY;
  }

  /** The cell at which an agent's successful move went. */
  private aim(before: Int32Array, state: Int32Array, agent: number): [number, number] | null {
    const { world } = this;
    const way = WAYS[world.agent(state, agent, Col.Action)];
    if (!way || way === WAYS[0] || !world.agent(state, agent, Col.Success)) return null;
    return [world.agent(before, agent, Col.Row) + way[0], world.agent(before, agent, Col.Column) + way[1]];
  }

  private compareAgents(step: number, before: Int32Array, state: Int32Array): void {
    const { world } = this;
    for (let agent = 0; agent < world.agents; agent++) {
      const place = { row: world.agent(state, agent, Col.Row), col: world.agent(state, agent, Col.Column), agent, step };
      for (const gear of GEAR) {
        if (world.held(state, agent, gear) > world.held(before, agent, gear)) {
          this.events.push({ ...place, kind: "gear", text: `cog ${agent} put on ${gear} gear` });
        }
      }
      const gained = world.held(state, agent, "heart") - world.held(before, agent, "heart");
      if (gained > 0) {
        const hearts = gained === 1 ? "a heart" : `${gained} hearts`;
        this.events.push({ ...place, kind: "heart", text: `cog ${agent} took ${hearts}` });
      }
      if (world.held(before, agent, "hp") > 0 && world.held(state, agent, "hp") === 0) {
        this.events.push({ ...place, kind: "death", text: `cog ${agent} is out of hp: gear and hearts lost` });
      }
    }
  }
}
