/** The map with what the mouse does on it, and the loop that draws it. */

import { useEffect, useRef } from "preact/hooks";
import type { Game } from "../game";
import { isTaken } from "../focus";
import { onKey } from "../keys";
import { listenToPinch } from "../map/pinch";
import { MapView } from "../map/view";
import { STEPS_PER_SECOND, clock, controlled, following, game, last, live, playing, select, selected, setPlaying, showAreas, speed, state, step } from "../store";
import { theme } from "../theme";
import { Pad } from "./Pad";

const PANEL_RATE = 50; // milliseconds between two pictures of the panels while playing
const LAG = 3; // steps behind a live game before the clock hurries

export function Stage() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const view = useRef<MapView | null>(null);
  const now = game.value;
  useEffect(() => {
    if (!now || !canvas.current || !tip.current) return;
    const map = (view.current = new MapView(canvas.current, now));
    const stopPinch = listenToPinch(canvas.current, map.camera, () => (following.value = false));
    const stopMouse = listen(canvas.current, tip.current, map, now);
    const keys = (event: KeyboardEvent): void => {
      if (!isTaken(event) && onKey(event, () => map.fit())) event.preventDefault();
    };
    addEventListener("keydown", keys);
    const stop = run(map);
    measured.pixel = (agent) => {
      const [row, col] = map.place(agent, clock.position);
      return map.camera.toPixel(col, row);
    };
    return () => {
      stop();
      stopMouse();
      stopPinch();
      removeEventListener("keydown", keys);
    };
  }, [now]);
  useEffect(() => view.current?.repaint(), [theme.value]);
  return (
    <main class="stage">
      <canvas id="map" ref={canvas} role="img" aria-label="map; the panels tell of cogs and events in words" />
      <div class="tip" ref={tip} hidden />
      <div class="zoom">
        <button aria-label="nearer" title="nearer" onClick={() => view.current?.zoomBy(1.5)}>
          +
        </button>
        <button aria-label="farther" title="farther" onClick={() => view.current?.zoomBy(1 / 1.5)}>
          −
        </button>
        <button aria-label="whole map" title="whole map (0)" onClick={() => view.current?.fit()}>
          ⤢
        </button>
      </div>
      <Pad />
    </main>
  );
}

/** Advance the clock and draw, once per frame of the screen; nothing is drawn while nothing changes. */
function run(view: MapView): () => void {
  let frame = 0;
  let before = performance.now();
  let told = 0;
  let drawn = "";
  const tick = (time: number): void => {
    advance(Math.max(0, time - before) / 1000);
    before = time;
    const whole = Math.floor(clock.position);
    if (whole !== step.value && (time - told > PANEL_RATE || !playing.value)) {
      step.value = whole;
      told = time;
    }
    if (following.value && selected.value !== null) {
      const [row, col] = view.place(selected.value, clock.position);
      view.camera.seek(col, row, 22);
    }
    const { x, y, zoom } = view.camera;
    const moved = view.camera.glide() || view.resize();
    const look = { position: clock.position, selected: selected.value, controlled: controlled.value, areas: showAreas.value };
    const sight = JSON.stringify([look, x, y, zoom, theme.value]);
    if (moved || sight !== drawn) {
      view.draw(look);
      measured.drawn++;
    }
    drawn = sight;
    frame = requestAnimationFrame(tick);
  };
  frame = requestAnimationFrame(tick);
  return () => cancelAnimationFrame(frame);
}

/** Pictures drawn so far, and where on the map's canvas a cog is: for scripts that test and measure. */
export const measured = { drawn: 0, pixel: (_agent: number): [number, number] => [0, 0] };

function advance(seconds: number): void {
  if (!playing.value && !(live.value && clock.position > last.value - LAG)) return;
  const end = last.value;
  const growing = live.value !== null && !live.value.ended.value;
  const behind = growing ? Math.max(0, end - clock.position - 1) : 0;
  const rate = STEPS_PER_SECOND * speed.value * (behind > LAG ? 1.5 : 1) * (growing && behind > 2 * LAG && !playing.value ? 0 : 1);
  clock.position = Math.min(end, clock.position + Math.min(0.25, seconds) * rate);
  if (!growing && clock.position >= end && playing.value) setPlaying(false);
}

function listen(canvas: HTMLCanvasElement, tip: HTMLDivElement, view: MapView, now: Game): () => void {
  let held: { x: number; y: number; moved: boolean } | null = null;
  const place = (event: MouseEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const down = (event: PointerEvent): void => {
    held = { x: event.clientX, y: event.clientY, moved: false };
    canvas.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent): void => {
    if (held) {
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      if (held.moved || Math.hypot(dx, dy) > 4) {
        view.camera.panBy(dx, dy);
        following.value = false;
        held = { x: event.clientX, y: event.clientY, moved: true };
      }
    }
    const [px, py] = place(event);
    const text = describe(view, now, px, py);
    tip.hidden = !text || held?.moved === true;
    tip.textContent = text;
    tip.style.left = `${Math.min(px + 14, canvas.clientWidth - tip.offsetWidth - 6)}px`;
    tip.style.top = `${py + 16}px`;
  };
  const up = (event: PointerEvent): void => {
    if (held && !held.moved) select(view.at(...place(event), clock.position).agent ?? null);
    held = null;
  };
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    view.camera.zoomAt(Math.exp(-event.deltaY * 0.0015), ...place(event));
  };
  const cancel = (): void => {
    held = null;
    tip.hidden = true;
  };
  const leave = (): void => void (tip.hidden = true);
  const fit = (): void => view.fit();
  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("wheel", wheel, { passive: false });
  canvas.addEventListener("dblclick", fit);
  return () => {
    canvas.removeEventListener("pointerdown", down);
    canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", up);
    canvas.removeEventListener("pointercancel", cancel);
    canvas.removeEventListener("pointerleave", leave);
    canvas.removeEventListener("wheel", wheel);
    canvas.removeEventListener("dblclick", fit);
  };
}

function describe(view: MapView, now: Game, px: number, py: number): string {
  const numbers = state.value;
  const found = view.at(px, py, clock.position);
  if (!numbers) return "";
  const { world } = now;
  if (found.agent !== undefined) return `cog ${found.agent} · ${world.gear(numbers, found.agent) || "no gear"} · hp ${world.held(numbers, found.agent, "hp")}`;
  const { thing } = found;
  if (!thing) return "";
  const owner = world.owner(numbers, thing.index);
  const who = owner >= 0 ? world.header.collectives[owner] : thing.plain === "junction" ? "neutral" : "";
  const stock = world.stock(numbers, thing.index);
  const left = thing.plain === "extractor" ? `${stock} of ${now.full[thing.index]} left` : thing.plain === "hub" ? `${stock} hearts` : "";
  const name = thing.plain === "station" ? `${thing.gives} station` : thing.plain === "extractor" ? `${thing.gives} extractor` : thing.plain === "other" ? thing.name : thing.plain;
  return [name, who, left].filter(Boolean).join(" · ");
}
