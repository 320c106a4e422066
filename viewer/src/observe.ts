/** What an agent sees, token by token, as the engine writes it for its policy (rules 8). */

import { Areas } from "./areas";
import { Col } from "./header";
import type { Recording } from "./recording";
import { ELEMENTS, type World } from "./world";

export interface Token {
  /** Offset of the cell from the agent; null: about the episode or the team. */
  cell: { dr: number; dc: number } | null;
  feature: number;
  value: number;
}

type Add = (feature: string, value: number) => void;

export class Observer {
  private readonly feature = new Map<string, number>();
  private readonly tag = new Map<string, number>();
  private readonly order: { dr: number; dc: number }[] = [];
  private readonly areas: Areas;

  constructor(
    readonly world: World,
    readonly recording: Recording,
  ) {
    const { sight } = world.header;
    sight.features.forEach((name, index) => this.feature.set(name, index));
    sight.tags.forEach((name, index) => this.tag.set(name, index));
    this.areas = new Areas(world);
    const half = (sight.window - 1) / 2;
    for (let dr = -half; dr <= half; dr++) for (let dc = -half; dc <= half; dc++) this.order.push({ dr, dc });
    const far = (at: { dr: number; dc: number }) => Math.abs(at.dr) + Math.abs(at.dc);
    this.order.sort((a, b) => far(a) - far(b) || a.dr - b.dr || a.dc - b.dc);
  }

  /** Tokens of `agent` after `step` steps, cell by cell; those that do not fit are cut off as the engine does.
   *  Items of an inventory come by id, where the engine writes the one that was got last first. */
  tokens(step: number, agent: number): { tokens: Token[]; dropped: number } {
    const { world, recording } = this;
    const state = recording.state(step);
    const found: Token[] = [];
    const write =
      (cell: Token["cell"]): Add =>
      (name, value) => {
        const feature = this.feature.get(name);
        if (feature !== undefined) found.push({ cell, feature, value });
      };
    this.global(step, agent, state, write(null));
    const row = world.agent(state, agent, Col.Row);
    const col = world.agent(state, agent, Col.Column);
    const agents = new Map<number, number>();
    for (let a = 0; a < world.agents; a++) agents.set(this.place(world.agent(state, a, Col.Row), world.agent(state, a, Col.Column)), a);
    const things = new Map<number, number>();
    for (const thing of world.things) if (world.owner(state, thing.index) !== -2) things.set(this.place(thing.row, thing.col), thing.index);
    const { territory } = world.header.sight;
    if (territory) this.areas.update(state);
    for (const cell of this.order) {
      const [r, c] = [row + cell.dr, col + cell.dc];
      if (r < 0 || c < 0 || r >= world.rows || c >= world.cols) continue;
      const add = write(cell);
      if (territory) this.territory(state, agent, r, c, add);
      const other = agents.get(this.place(r, c));
      const thing = things.get(this.place(r, c));
      if (other !== undefined) this.cog(state, other, add);
      else if (thing !== undefined) this.thing(state, thing, add);
      else if (world.isWall(r, c)) add("tag", this.tag.get("type:wall") ?? 0);
    }
    const { tokens } = world.header.sight;
    return { tokens: found.slice(0, tokens), dropped: Math.max(0, found.length - tokens) };
  }

  private place(row: number, col: number): number {
    return row * this.world.cols + col;
  }

  private global(step: number, agent: number, state: Int32Array, add: Add): void {
    const { world, recording } = this;
    const { header } = world;
    const start = recording.state(0);
    const before = recording.state(Math.max(0, step - 1));
    const at = (s: Int32Array) => [world.agent(s, agent, Col.Row), world.agent(s, agent, Col.Column)] as const;
    const [row, col] = at(state);
    const [oldRow, oldCol] = at(before);
    add("episode_completion_pct", step >= header.max_steps ? 255 : Math.floor((256 * step) / header.max_steps));
    add("last_action", world.agent(state, agent, Col.Success) ? world.agent(state, agent, Col.Action) : 0);
    add("last_action_move", row !== oldRow || col !== oldCol ? 1 : 0);
    const reward = header.sight.reward ? Math.round(world.agent(before, agent, Col.Reward) * 1e-4) : 0;
    add("last_reward", Math.max(0, Math.min(255, reward)));
    const [east, south] = [col - at(start)[1], row - at(start)[0]];
    if (east) add(east > 0 ? "lp:east" : "lp:west", Math.min(255, Math.abs(east)));
    if (south) add(south > 0 ? "lp:south" : "lp:north", Math.min(255, Math.abs(south)));
    const team = header.agents[agent]?.team ?? 0;
    for (const element of ELEMENTS) this.amount(`inv:collective:${element}`, world.team(state, team, element), add);
    if (this.feature.has("inv:own:role_id")) this.amount("inv:own:role_id", world.held(state, agent, "role_id"), add);
  }

  private amount(name: string, amount: number, add: Add): void {
    add(name, amount & 255);
    if (amount > 255) add(`${name}:p1`, amount >> 8);
  }

  private cog(state: Int32Array, other: number, add: Add): void {
    const { world } = this;
    const { team, group } = world.header.agents[other] ?? { team: 0, group: 0 };
    add("collective", team);
    const tags = [`collective:${world.header.collectives[team]}`, "type:agent"].map((name) => this.tag.get(name) ?? 0);
    for (const tag of tags.sort((a, b) => a - b)) add("tag", tag);
    const vibe = world.agent(state, other, Col.Vibe);
    if (vibe) add("vibe", vibe);
    for (const item of world.header.resources) {
      const amount = world.held(state, other, item);
      if (amount) this.amount(`inv:${item}`, amount, add);
    }
    add("agent:group", group);
    add("agent:frozen", 0);
    add("agent_id", other);
  }

  private thing(state: Int32Array, thing: number, add: Add): void {
    const { world } = this;
    const type = world.header.types[world.header.objects[thing]?.type ?? 0];
    const owner = world.owner(state, thing);
    if (owner >= 0) add("collective", owner);
    for (const tag of type?.tags ?? []) add("tag", tag);
    const stock = world.stock(state, thing);
    const item = world.header.resources[type?.item ?? -1];
    if (item && stock > 0) this.amount(`inv:${item}`, stock, add);
  }

  /** Friendly or enemy area; where both are, that of the nearest source, and nothing for a tie. */
  private territory(state: Int32Array, agent: number, row: number, col: number, add: Add): void {
    const { world } = this;
    const mine = world.header.agents[agent]?.team ?? 0;
    const teams = world.header.collectives.map((_, team) => team).filter((team) => this.areas.covers(team, row, col));
    const friendly = teams.includes(mine);
    const enemy = teams.some((team) => team !== mine);
    if (friendly && enemy) {
      const owner = this.nearest(state, row, col);
      if (owner >= 0) add("aoe_mask", owner === mine ? 1 : 2);
    } else if (friendly || enemy) add("aoe_mask", friendly ? 1 : 2);
  }

  private nearest(state: Int32Array, row: number, col: number): number {
    let best = Infinity;
    let owner = -1;
    for (const thing of this.world.things) {
      const held = this.world.owner(state, thing.index);
      if (held < 0 || !this.world.hasArea(thing)) continue;
      const distance = (thing.row - row) ** 2 + (thing.col - col) ** 2;
      if (distance < best) [best, owner] = [distance, held];
      else if (distance === best && held !== owner) owner = -1;
    }
    return owner;
  }

  /** A token as a person reads it. */
  describe(token: Token): string {
    const { header } = this.world;
    const name = header.sight.features[token.feature] ?? "?";
    if (name === "tag") return header.sight.tags[token.value] ?? `tag ${token.value}`;
    if (name === "collective") return `held by ${header.collectives[token.value] ?? token.value}`;
    if (name === "vibe") return `vibe ${header.vibes[token.value] ?? token.value}`;
    if (name === "last_action") return `last_action ${header.actions[token.value] ?? token.value}`;
    return `${name} ${token.value}`;
  }
}

