/** Colours and shapes of owners, gear and elements: palette.json is the one table, the terminal and reports read it too. */

import table from "../../metta/view/palette.json";

export type Theme = "dark" | "light";
export type Paint = Record<Theme, string>;

/** How an owner is told from others; `sides` of its junctions, a ring for 0. */
export interface Look extends Paint {
  sides: number;
}

export const PALETTE: {
  neutral: Look;
  clips: Look;
  teams: Record<string, Look>;
  gear: Record<string, Paint>;
  elements: Record<string, Paint>;
  ink: Record<keyof typeof table.ink, Paint>;
} = table;

/** Look of each collective; the rule is that of `looks_of` in metta/view/palette.py, and a test compares them. */
export function looksOf(collectives: string[]): Look[] {
  const free = Object.keys(PALETTE.teams);
  const looks = new Map<string, Look>();
  const names = [...collectives].sort();
  for (const name of names) {
    const said = free.find((colour) => name.toLowerCase().includes(colour));
    if (name === "clips") looks.set(name, PALETTE.clips);
    else if (said) looks.set(name, PALETTE.teams[free.splice(free.indexOf(said), 1)[0] as string] as Look);
  }
  const left = free.length ? free : Object.keys(PALETTE.teams);
  const others = names.filter((name) => !looks.has(name));
  others.forEach((name, k) => looks.set(name, PALETTE.teams[left[k % left.length] as string] as Look));
  return collectives.map((name) => looks.get(name) as Look);
}
