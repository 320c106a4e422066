/** The colours in use: those of the palette for a dark or a light ground, as the system or the watcher wants it. */

import { signal } from "@preact/signals";
import type { Look, Paint, Theme } from "./palette";
import { PALETTE } from "./palette";

type Ink = Record<keyof typeof PALETTE.ink, string>;

const KEPT = "theme"; // in the browser's storage
const system = matchMedia("(prefers-color-scheme: light)");

export const theme = signal<Theme>("dark");
/** Colours of everything but owners, gear and elements. Replaced as a whole: who keeps pictures compares it. */
export let INK = inkOf("dark");
export let CLIPS = PALETTE.clips.dark;

/** How the owner of a thing is drawn. */
export interface Owner {
  colour: string;
  sides: number;
}

function inkOf(ground: Theme): Ink {
  return Object.fromEntries(Object.entries(PALETTE.ink).map(([name, paint]) => [name, paint[ground]])) as Ink;
}

const now = (paint: Paint | undefined): string => (paint ?? PALETTE.neutral)[theme.value];

export const gearColour = (gear: string): string => now(PALETTE.gear[gear || "none"]);
export const elementColour = (element: string): string => now(PALETTE.elements[element]);
export const drawn = (look: Look | undefined): Owner => ({ colour: now(look), sides: (look ?? PALETTE.neutral).sides });
export const clips = (): Owner => drawn(PALETTE.clips);

/** Begin with what was chosen before, or else with what the system wants. */
export function startTheme(): void {
  const kept = stored();
  show(kept ?? (system.matches ? "light" : "dark"));
  system.onchange = () => stored() === null && show(system.matches ? "light" : "dark");
}

/** The other ground, from now on. */
export function switchTheme(): void {
  const next = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEPT, next);
  } catch {
    // a page inside another one may keep nothing
  }
  show(next);
}

function stored(): Theme | null {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept === "dark" || kept === "light" ? kept : null;
  } catch {
    return null;
  }
}

function show(next: Theme): void {
  INK = inkOf(next);
  CLIPS = PALETTE.clips[next];
  const { style } = document.documentElement;
  style.colorScheme = next;
  for (const [name, colour] of Object.entries(INK)) style.setProperty(`--${name}`, colour);
  style.setProperty("--clips", CLIPS);
  theme.value = next;
}

/** A colour with transparency, `#rrggbb` and 0..1. */
export const fade = (colour: string, alpha: number): string =>
  `${colour}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0")}`;
