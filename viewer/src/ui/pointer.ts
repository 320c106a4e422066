/** What the pointer does on the map: choose, pan, zoom, look at another place, give orders. */

import type { Game } from "../game";
import { type Found, pick } from "../map/pick";
import type { MapView } from "../map/view";
import { STEPS_PER_SECOND, clock, controlled, following, inspect, order, playing, select, speed, state } from "../store";

const LATE = 0.3; // seconds by which a hand follows the eye
const MOST_LATE = 6; // steps
const STILL = 4; // pixels that a click may move
const BUTTONS = 48; // pixels that the buttons take at the right

interface Press {
  x: number;
  y: number;
  found: Found;
  does: "choose" | "pan" | "look";
}

/** Listen to the pointer on `canvas`. Returns what ends it. */
export function listen(canvas: HTMLCanvasElement, tip: HTMLDivElement, view: MapView, now: Game): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  let press: Press | null = null;
  const place = (event: MouseEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const find = (event: MouseEvent): Found => {
    const late = playing.value ? Math.min(MOST_LATE, LATE * STEPS_PER_SECOND * speed.value) : 0;
    return pick(now, view.camera, place(event), clock.position, late);
  };
  const look = (event: MouseEvent): boolean => {
    const there = view.minimap.toMap(view.camera, ...place(event));
    if (!there) return false;
    following.value = false;
    view.camera.moveTo(...there);
    return true;
  };
  const down = (event: PointerEvent): void => {
    canvas.setPointerCapture(event.pointerId);
    press = { x: event.clientX, y: event.clientY, found: find(event), does: look(event) ? "look" : "choose" };
  };
  const move = (event: PointerEvent): void => {
    if (press?.does === "look") look(event);
    else if (press) drag(press, event);
    const onMinimap = view.minimap.toMap(view.camera, ...place(event)) !== null;
    const found = find(event);
    canvas.style.cursor = press?.does === "pan" ? "grabbing" : onMinimap || isThere(found) ? "pointer" : "crosshair";
    const text = press || onMinimap ? "" : describe(now, found);
    tip.hidden = !text;
    tip.textContent = text;
    if (text) placeTip(tip, canvas, ...place(event));
  };
  const drag = (from: Press, event: PointerEvent): void => {
    const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
    if (from.does !== "pan" && Math.hypot(dx, dy) <= STILL) return;
    view.camera.panBy(dx, dy);
    following.value = false;
    press = { ...from, x: event.clientX, y: event.clientY, does: "pan" };
  };
  const up = (): void => {
    if (press?.does === "choose") choose(press.found);
    press = null;
  };
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    view.camera.zoomAt(Math.exp(-event.deltaY * 0.0015), ...place(event));
  };
  canvas.addEventListener("pointerdown", down, { signal });
  canvas.addEventListener("pointermove", move, { signal });
  canvas.addEventListener("pointerup", up, { signal });
  canvas.addEventListener("pointercancel", () => (press = null), { signal });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true), { signal });
  canvas.addEventListener("wheel", wheel, { passive: false, signal });
  canvas.addEventListener("dblclick", (event) => isThere(find(event)) || view.camera.fit(), { signal });
  return () => ending.abort();
}

const isThere = (found: Found): boolean => found.agent !== undefined || found.thing !== undefined;

/** A cog is selected, a thing inspected; but a cog that was taken over goes where the pointer is pressed. */
function choose(found: Found): void {
  if (found.agent !== undefined && found.agent !== controlled.value) select(found.agent);
  else if (controlled.value !== null) order.value = [found.thing?.row ?? found.row, found.thing?.col ?? found.col];
  else if (found.thing) inspect(found.thing.index);
  else if (found.agent === undefined) select(null);
}

/** Beside the pointer, inside the map and clear of the buttons on it. */
function placeTip(tip: HTMLDivElement, canvas: HTMLCanvasElement, px: number, py: number): void {
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const left = Math.max(6, Math.min(px + 14, canvas.clientWidth - width - BUTTONS));
  const below = py + 16 + height < canvas.clientHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? py + 16 : py - 12 - height}px`;
}



function describe(now: Game, found: Found): string {
  const numbers = state.value;
  if (!numbers) return "";
  const { world } = now;
  if (found.agent !== undefined) return `cog ${found.agent} · ${world.gear(numbers, found.agent) || "no gear"} · hp ${world.held(numbers, found.agent, "hp")}`;
  const { thing } = found;
  if (!thing) return "";
  const owner = world.owner(numbers, thing.index);
  const who = owner >= 0 ? world.header.collectives[owner] : thing.plain === "junction" ? "neutral" : "";
  const stock = world.stock(numbers, thing.index);
  const left = thing.plain === "extractor" ? `${stock} of ${now.full[thing.index]} left` : thing.plain === "hub" ? `${stock} hearts` : "";
  return [world.title(thing), who, left].filter(Boolean).join(" · ");
}
