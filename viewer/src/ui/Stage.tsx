/** The map, and the loop that moves the clock on and draws it. */

import { useEffect, useRef } from "preact/hooks";
import { isTaken } from "../focus";
import { onKey } from "../keys";
import { placeOf } from "../map/pick";
import { listenToPinch } from "../map/pinch";
import { MapView } from "../map/view";
import { obey, way } from "../orders";
import { STEPS_PER_SECOND, clock, controlled, following, game, growing, inspected, last, playing, selected, setPlaying, showAreas, showSight, showVisits, speed, step } from "../store";
import { theme } from "../theme";
import { Notices } from "./Notices";
import { Pad } from "./Pad";
import { listen } from "./pointer";

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
    const { camera } = map;
    const stopPinch = listenToPinch(canvas.current, camera, () => (following.value = false));
    const stopPointer = listen(canvas.current, tip.current, map, now);
    const keys = (event: KeyboardEvent): void => {
      if (!isTaken(event) && onKey(event, () => camera.fit())) event.preventDefault();
    };
    addEventListener("keydown", keys);
    const stop = run(map, tip.current);
    measured.pixel = (agent) => {
      const [row, col] = placeOf(now, agent, clock.position);
      return camera.toPixel(col, row);
    };
    measured.cell = (row, col) => camera.toPixel(col, row);
    measured.camera = camera;
    return () => {
      stop();
      stopPinch();
      stopPointer();
      removeEventListener("keydown", keys);
    };
  }, [now]);
  useEffect(() => view.current?.repaint(), [theme.value]);
  return (
    <main class="stage">
      <canvas id="map" ref={canvas} role="img" aria-label="map; the panels tell of cogs and events in words" />
      <Notices />
      <div class="tip" ref={tip} hidden />
      <div class="zoom">
        <button aria-label="nearer" title="nearer" onClick={() => view.current?.zoomBy(1.5)}>
          +
        </button>
        <button aria-label="farther" title="farther" onClick={() => view.current?.zoomBy(1 / 1.5)}>
          −
        </button>
        <button aria-label="whole map" title="whole map (0)" onClick={() => view.current?.camera.fit()}>
          ⤢
        </button>
      </div>
      <Pad />
    </main>
  );
}

/** Advance the clock and draw, once per frame of the screen; nothing is drawn while nothing changes. */
function run(view: MapView, tip: HTMLElement): () => void {
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
    obey();
    if (following.value && selected.value !== null) {
      const [row, col] = placeOf(view.game, selected.value, clock.position);
      view.camera.seek(col, row, 22);
    }
    const { x, y, zoom } = view.camera;
    const moved = view.camera.glide() || view.resize();
    if (moved) tip.hidden = true; // another thing is under the pointer now
    const look = {
      position: clock.position,
      selected: selected.value,
      controlled: controlled.value,
      thing: inspected.value,
      areas: showAreas.value,
      visits: showVisits.value,
      sight: showSight.value,
      way: way.value,
    };
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

/** Pictures drawn so far, and where on the map's canvas a cog or a cell is: for scripts that test and measure. */
export const measured = {
  drawn: 0,
  pixel: (_agent: number): [number, number] => [0, 0],
  cell: (_row: number, _col: number): [number, number] => [0, 0],
  camera: null as MapView["camera"] | null,
};

function advance(seconds: number): void {
  if (!playing.value && !(growing.value && clock.position > last.value - LAG)) return;
  const end = last.value;
  const behind = growing.value ? Math.max(0, end - clock.position - 1) : 0;
  const rate = STEPS_PER_SECOND * speed.value * (behind > LAG ? 1.5 : 1) * (growing.value && behind > 2 * LAG && !playing.value ? 0 : 1);
  clock.position = Math.min(end, clock.position + Math.min(0.25, seconds) * rate);
  if (!growing.value && clock.position >= end && playing.value) setPlaying(false);
}
