/** The keyboard: the viewer's own keys, and those that move a cog that was taken over. */

import { about, changeSpeed, control, controlled, following, game, growing, keysShown, last, live, nudge, order, playing, seek, select, selected, setPlaying, showAreas, showSight, showVisits, tab } from "./store";

const MOVES: Record<string, string> = {
  ArrowUp: "move_north",
  ArrowDown: "move_south",
  ArrowLeft: "move_west",
  ArrowRight: "move_east",
  w: "move_north",
  s: "move_south",
  a: "move_west",
  d: "move_east",
  x: "noop",
};

/** What the keys do, for the page's own legend. */
export const KEYS: [string, string][] = [
  ["Space", "play or pause"],
  [", .", "a step back, forward"],
  ["← →", "ten steps back, forward"],
  ["- +", "slower, faster"],
  ["G", "go to a step"],
  ["N P", "next, previous cog"],
  ["F", "follow the cog"],
  ["T", "take the cog over (live)"],
  ["WASD ↑↓←→", "move it; X waits"],
  ["click", "send it there"],
  ["1 … 7", "its vibe"],
  ["A", "show areas"],
  ["H", "heat map of visits"],
  ["V", "only what the cog sees"],
  ["I", "what is this?"],
  ["L", "legend"],
  ["0", "whole map"],
  ["?", "this list"],
  ["Esc", "let go"],
];

/** Returns whether the key meant something. */
export function onKey(event: KeyboardEvent, fit: () => void): boolean {
  const now = game.value;
  if (!now || event.ctrlKey || event.metaKey || event.altKey) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (controlled.value !== null && steer(key)) return true;
  const agents = now.world.agents;
  const current = selected.value;
  const commands: Record<string, () => void> = {
    " ": () => setPlaying(!playing.value),
    ",": () => nudge(-1),
    ".": () => nudge(1),
    ArrowLeft: () => nudge(-10),
    ArrowRight: () => nudge(10),
    Home: () => seek(0),
    End: () => seek(last.value),
    "-": () => changeSpeed(-1),
    "+": () => changeSpeed(1),
    "=": () => changeSpeed(1),
    n: () => select(current === null ? 0 : (current + 1) % agents),
    p: () => select(current === null ? agents - 1 : (current + agents - 1) % agents),
    f: () => (following.value = current !== null && !following.value),
    g: () => document.getElementById("goto")?.focus(),
    t: () => growing.value && control(controlled.value === null ? (current ?? pick()) : null),
    a: () => (showAreas.value = !showAreas.value),
    h: () => (showVisits.value = !showVisits.value),
    v: () => (showSight.value = !showSight.value),
    i: () => (about.value = true),
    l: () => (tab.value = tab.value === "legend" ? "cogs" : "legend"),
    "0": fit,
    "?": () => (keysShown.value = true),
    Escape: () => (controlled.value !== null ? control(null) : select(null)),
  };
  const command = commands[key];
  command?.();
  return command !== undefined;
}

function pick(): number {
  select(0);
  return 0;
}

/** The cog that was taken over does what a key says. Returns whether the key meant something. */
export function steer(key: string): boolean {
  const header = game.value?.world.header;
  if (!header) return false;
  const { actions, vibes } = header;
  const vibe = /^[1-7]$/.test(key) ? vibes[Number(key) - 1] : undefined;
  const action = actions.indexOf(MOVES[key] ?? (vibe ? `change_vibe_${vibe}` : ""));
  if (action < 0) return false;
  order.value = null;
  live.value?.send({ action });
  return true;
}
