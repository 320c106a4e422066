/** What the page knows: one place for state, signals for what panels show. */

import { computed, effect, signal } from "@preact/signals";
import type { Game } from "./game";
import type { Live } from "./live";

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1000];
export const STEPS_PER_SECOND = 8; // at speed 1

export const game = signal<Game | null>(null);
export const live = signal<Live | null>(null);
export const failure = signal("");
/** Step that the panels show. */
export const step = signal(0);
/** Newest step there is. */
export const last = signal(0);
export const playing = signal(false);
export const speed = signal(1);
export const selected = signal<number | null>(null);
/** Thing that is inspected instead of a cog, by index. */
export const inspected = signal<number | null>(null);
export const following = signal(false);
/** Agent that the keyboard moves; live only. */
export const controlled = signal<number | null>(null);
export const tab = signal<"cogs" | "events" | "legend">("cogs");
export const showAreas = signal(true);
/** The card that tells what this is. */
export const about = signal(false);
/** How often cogs were in each cell. */
export const showVisits = signal(false);
/** Only what the selected cog sees. */
export const showSight = signal(false);
/** Whether the list of keys lies over the page. */
export const keysShown = signal(false);

export const state = computed(() => game.value?.recording.state(Math.min(step.value, last.value)) ?? null);

/** Exact place in the recording, between steps while it moves on. */
export const clock = { position: 0 };

/** Whether the game goes on elsewhere and tells this page its steps. */
export const growing = computed(() => live.value !== null && !live.value.ended.value && !live.value.lost.value);

/** Whether pace and cogs are this page's to choose: of a game that others follow too one page holds the controls. */
export const steers = computed(() => !growing.value || live.value?.holds.value === true);

/** Cell to which the cog that was taken over is to go: row, column. */
export const order = signal<readonly [number, number] | null>(null);

export function seek(target: number): void {
  clock.position = Math.max(0, Math.min(last.value, target));
  step.value = Math.floor(clock.position);
}

export function setSpeed(value: number): void {
  if (!steers.value) return;
  speed.value = value;
  live.value?.send({ speed: value });
}

export function changeSpeed(by: number): void {
  const next = SPEEDS[SPEEDS.indexOf(speed.value) + by];
  if (next) setSpeed(next);
}

/** Whether the page shows the newest second of a game that goes on. */
export const atEdge = computed(() => step.value >= last.value - STEPS_PER_SECOND * Math.max(1, speed.value));

export function setPlaying(value: boolean): void {
  if (!steers.value) return;
  playing.value = value;
  if (growing.value) {
    live.value?.send({ playing: value });
    if (value) seek(last.value);
  } else if (value && clock.position >= last.value) seek(0);
}

/** One step forward or back; forward at the edge of a live game plays it. */
export function nudge(by: number): void {
  if (growing.value && by > 0 && step.value >= last.value) {
    if (!steers.value) return;
    playing.value = false;
    live.value?.send({ playing: false, step: true });
    return;
  }
  if (playing.value) setPlaying(false);
  seek(Math.round(step.value + by));
}

export function select(agent: number | null): void {
  selected.value = agent;
  inspected.value = null;
  if (agent === null) following.value = false;
  if (controlled.value !== null && controlled.value !== agent) control(null);
}

export function inspect(thing: number): void {
  select(null);
  inspected.value = thing;
  tab.value = "cogs";
}

/** Take an agent over, or give it back. */
export function control(agent: number | null): void {
  order.value = null;
  if (!live.value || (agent !== null && !(growing.value && steers.value))) return;
  controlled.value = agent;
  live.value.send({ agent });
  if (agent !== null) seek(last.value);
}

effect(() => {
  if (!growing.value || !steers.value) [controlled.value, order.value] = [null, null];
});
