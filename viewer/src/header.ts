/** What a replay says once: see docs/replays.md for every key. */

export interface Header {
  mission: string;
  variants: string[];
  seed: number;
  max_steps: number;
  policies: string[];
  agents: { team: number; group: number; policy: number }[];
  types: { name: string; tags: number[]; item: number }[];
  objects: { type: number; row: number; col: number }[];
  collectives: string[];
  resources: string[];
  actions: string[];
  vibes: string[];
  roles: string[];
  tasks: string[];
  values: boolean;
  limits: { items: string[]; least: number; most: number; bonus: Record<string, number>; add: boolean }[];
  radius: number;
  day_length: number;
  sight: { features: string[]; tags: string[]; window: number; tokens: number; territory: boolean; reward: boolean };
  map: string[];
}

/** Columns of an agent in a state; its inventory follows. */
export enum Col {
  Row,
  Column,
  Vibe,
  Action,
  Success,
  Reward,
  Value,
  Role,
  Task,
  TargetRow,
  TargetColumn,
  Inventory,
}

export const NOBODY = -1;
export const GONE = -2;
export const REWARD_UNIT = 1e-6;
export const VALUE_UNIT = 1e-3;
