/** Names for the numbers of a state. */

import type { Header } from "./header";
import { Col } from "./header";

export const GEAR = ["aligner", "scrambler", "miner", "scout"] as const;
export const ELEMENTS = ["oxygen", "carbon", "germanium", "silicon"] as const;
export type Gear = (typeof GEAR)[number];

/** What an object is, whatever its team. */
export type Plain = "junction" | "hub" | "extractor" | "station" | "other";

export interface Thing {
  index: number;
  row: number;
  col: number;
  type: number;
  name: string;
  plain: Plain;
  /** Gear of a station, element of an extractor. */
  gives: string;
}

export class World {
  readonly rows: number;
  readonly cols: number;
  readonly things: Thing[];
  readonly item: Record<string, number> = {};
  private readonly places = new Map<number, Thing>();
  private readonly width: number;
  private readonly objects: number;
  private readonly teams: number;

  constructor(readonly header: Header) {
    this.rows = header.map.length;
    this.cols = header.map[0]?.length ?? 0;
    header.resources.forEach((name, index) => (this.item[name] = index));
    this.width = Col.Inventory + header.resources.length;
    this.objects = header.agents.length * this.width;
    this.teams = this.objects + 2 * header.objects.length;
    this.things = header.objects.map((object, index) => {
      const name = header.types[object.type]?.name ?? "";
      const last = name.split(":").pop() ?? "";
      const gives = last.replace("_extractor", "");
      const plain: Plain =
        last === "junction" || last === "hub"
          ? last
          : last.endsWith("_extractor")
            ? "extractor"
            : (GEAR as readonly string[]).includes(last)
              ? "station"
              : "other";
      return { index, row: object.row, col: object.col, type: object.type, name, plain, gives };
    });
    for (const thing of this.things) this.places.set(thing.row * this.cols + thing.col, thing);
  }

  get agents(): number {
    return this.header.agents.length;
  }

  isWall(row: number, col: number): boolean {
    return this.header.map[row]?.[col] !== ".";
  }

  /** The thing that is in a cell at the start, whether or not it has gone since. */
  thingAt(row: number, col: number): Thing | undefined {
    return this.places.get(row * this.cols + col);
  }

  agent(state: Int32Array, agent: number, column: Col): number {
    return state[agent * this.width + column] as number;
  }

  held(state: Int32Array, agent: number, item: string): number {
    const index = this.item[item];
    return index === undefined ? 0 : (state[agent * this.width + Col.Inventory + index] as number);
  }

  gear(state: Int32Array, agent: number): Gear | "" {
    return GEAR.find((gear) => this.held(state, agent, gear) > 0) ?? "";
  }

  cargo(state: Int32Array, agent: number): number {
    return ELEMENTS.reduce((sum, element) => sum + this.held(state, agent, element), 0);
  }

  owner(state: Int32Array, thing: number): number {
    return state[this.objects + 2 * thing] as number;
  }

  stock(state: Int32Array, thing: number): number {
    return state[this.objects + 2 * thing + 1] as number;
  }

  team(state: Int32Array, collective: number, item: string): number {
    return state[this.teams + collective * this.header.resources.length + (this.item[item] ?? 0)] as number;
  }

  /** Whether cells around a thing belong to its owner. */
  hasArea(thing: Thing): boolean {
    return thing.plain === "junction" || thing.plain === "hub";
  }

  /** What a thing is called. */
  title(thing: Thing): string {
    if (thing.plain === "station" || thing.plain === "extractor") return `${thing.gives} ${thing.plain}`;
    return thing.plain === "other" ? thing.name : thing.plain;
  }

  /** How much an agent can hold of an item, all items that share the limit counted together. */
  limit(state: Int32Array, agent: number, item: string): number {
    const limit = this.header.limits.find((each) => each.items.includes(item));
    if (!limit) return 65535;
    const bonus = Object.entries(limit.bonus).reduce((sum, [name, each]) => sum + each * this.held(state, agent, name), 0);
    return Math.min(limit.most, limit.add ? limit.least + bonus : Math.max(limit.least, bonus));
  }

  isDay(step: number): boolean {
    const length = this.header.day_length;
    return length === 0 || step % length < length / 2;
  }
}
