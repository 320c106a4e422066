/** What the page knows: one place for state, signals for what panels show. */

import { computed, signal } from "@preact/signals";
import type { Game } from "./game";
import type { Live } from "./live";

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64];
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
export const following = signal(false);
/** Agent that the keyboard moves; live only. */
export const controlled = signal<number | null>(null);
export const tab = signal<"cogs" | "events" | "legend">("cogs");
export const showAreas = signal(true);
/** Whether the list of keys lies over the page. */
export const keysShown = signal(false);

export const state = computed(() => game.value?.recording.state(Math.min(step.value, last.value)) ?? null);

/** Exact place in the recording, between steps while it moves on. */
export const clock = { position: 0 };

export function seek(target: number): void {
  clock.position = Math.max(0, Math.min(last.value, target));
  step.value = Math.floor(clock.position);
}

export function setSpeed(value: number): void {
  speed.value = value;
  live.value?.send({ speed: value });
}

export function changeSpeed(by: number): void {
  const next = SPEEDS[SPEEDS.indexOf(speed.value) + by];
  if (next) setSpeed(next);
}

/** Whether the page shows the newest second of a game that goes on. */
export const atEdge = computed(() => live.value !== null && step.value >= last.value - STEPS_PER_SECOND * Math.max(1, speed.value));

export function setPlaying(value: boolean): void {
  playing.value = value;
  const source = live.value;
  if (source && !source.ended.value) {
    source.send({ playing: value });
    if (value) seek(last.value);
  } else if (value && clock.position >= last.value) seek(0);
}

/** One step forward or back; forward at the edge of a live game plays it. */
export function nudge(by: number): void {
  const source = live.value;
  if (source && !source.ended.value && by > 0 && step.value >= last.value) {
    playing.value = false;
    source.send({ playing: false, step: true });
    return;
  }
  if (playing.value) setPlaying(false);
  seek(Math.round(step.value + by));
}

export function select(agent: number | null): void {
  selected.value = agent;
  if (agent === null) following.value = false;
  if (controlled.value !== null && controlled.value !== agent) control(null);
}

/** Take an agent over, or give it back. */
export function control(agent: number | null): void {
  if (!live.value || (live.value.ended.value && agent !== null)) return;
  controlled.value = agent;
  live.value.send({ agent });
  if (agent !== null) seek(last.value);
}
