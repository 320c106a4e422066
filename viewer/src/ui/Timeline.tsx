/** Playing, speed, and the curve on which the mouse scrubs. */

import { useEffect, useRef } from "preact/hooks";
import { SPEEDS, atEdge, game, growing, last, nudge, playing, seek, selected, setPlaying, setSpeed, speed, steers, step } from "../store";
import type { Theme } from "../palette";
import { theme } from "../theme";
import { drawCurve, stepAt } from "./curve";

export function Timeline() {
  const now = game.value;
  if (!now) return null;
  const total = growing.value ? now.world.header.max_steps : last.value;
  return (
    <footer class="timeline">
      <div class="controls">
        <button aria-label="to the start" title="to the start (Home)" onClick={() => seek(0)}>
          <Shape d="M6 5v14M19 5L9 12l10 7z" />
        </button>
        <button aria-label="a step back" title="a step back (,)" id="back" onClick={() => nudge(-1)}>
          <Shape d="M16 5L6 12l10 7z" />
        </button>
        <button class="play" id="play" disabled={!steers.value} aria-label={playing.value ? "pause" : "play"} title="play or pause (space)" onClick={() => setPlaying(!playing.value)}>
          <Shape d={playing.value ? "M8 5v14M16 5v14" : "M7 4.500l12 7.500-12 7.500z"} heavy={playing.value} />
        </button>
        <button aria-label="a step forward" title="a step forward (.)" id="forward" onClick={() => nudge(1)}>
          <Shape d="M8 5l10 7-10 7z" />
        </button>
        <button aria-label="to the end" title="to the end (End)" onClick={() => seek(last.value)}>
          <Shape d="M18 5v14M5 5l10 7-10 7z" />
        </button>
        <select id="speed" disabled={!steers.value} value={speed.value} onChange={(event) => {
            setSpeed(Number(event.currentTarget.value));
            event.currentTarget.blur(); // the keys are the viewer's again
          }} title="speed (- +)" aria-label="speed, 1 is 8 steps per second">
          {SPEEDS.map((value) => (
            <option key={value} value={value}>
              {value}×
            </option>
          ))}
        </select>
        <span class="clock">
          step <b id="step">{step.value}</b> / {total}
          <small>{now.world.header.day_length ? (now.world.isDay(step.value) ? "day" : "night") : ""}</small>
        </span>
        <GoTo />
        <span class="score">
          mean score <b>{now.history.mean(step.value).toFixed(3)}</b>
        </span>
        {growing.value && !atEdge.value && (
          <button class="edge" onClick={() => seek(last.value)}>
            back to live
          </button>
        )}
      </div>
      <Curve total={total} ground={theme.value} />
    </footer>
  );
}

/** A step to go to, typed. */
function GoTo() {
  const take = (input: HTMLInputElement): void => {
    if (input.value === "") return;
    if (!growing.value) setPlaying(false);
    seek(Math.round(Number(input.value)));
    input.value = "";
    input.blur(); // the keys are the viewer's again
  };
  return (
    <input
      id="goto"
      class="goto"
      type="number"
      min={0}
      max={last.value}
      placeholder="go to step"
      aria-label="go to a step"
      title="go to a step (G)"
      onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      onChange={(event) => take(event.currentTarget)}
    />
  );
}

function Shape({ d, heavy = false }: { d: string; heavy?: boolean }) {
  return (
    <svg aria-hidden="true" width="18" height="18" viewBox="0 0 24 24">
      <path d={d} fill={heavy ? "none" : "currentColor"} stroke="currentColor" stroke-width={heavy ? 4 : 2} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

function Curve({ total, ground }: { total: number; ground: Theme }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const hovered = useRef<number | null>(null);
  const redraw = (): void => {
    if (canvas.current && game.value) drawCurve(canvas.current, game.value, total, hovered.current);
  };
  void selected.value; // its curve is drawn too
  useEffect(redraw);
  useEffect(() => {
    const observer = new ResizeObserver(redraw);
    if (canvas.current) observer.observe(canvas.current);
    return () => observer.disconnect();
  }, [total, ground]);
  const scrub = (event: PointerEvent): void => {
    if (!canvas.current) return;
    const target = stepAt(canvas.current, event.clientX, total);
    hovered.current = target;
    if (event.buttons & 1) seek(target);
    if (tip.current) showTip(tip.current, canvas.current, event.clientX, Math.min(target, last.value));
    redraw();
  };
  return (
    <div class="curve">
      <canvas
        id="curve"
        ref={canvas}
        tabIndex={0}
        role="slider"
        aria-label="step"
        aria-valuemin={0}
        aria-valuemax={last.value}
        aria-valuenow={step.value}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          if (playing.value && !growing.value) setPlaying(false);
          scrub(event);
        }}
        onPointerMove={scrub}
        onPointerLeave={() => {
          hovered.current = null;
          if (tip.current) tip.current.hidden = true;
          redraw();
        }}
      />
      <div class="tip" ref={tip} hidden />
    </div>
  );
}

function showTip(tip: HTMLDivElement, canvas: HTMLCanvasElement, clientX: number, at: number): void {
  const now = game.value;
  if (!now) return;
  const held = now.history.held[at];
  const counts = now.world.header.collectives.map((name, index) => `${name} ${held?.[index] ?? 0}`).join(" · ");
  tip.hidden = false;
  tip.textContent = `step ${at} · mean score ${now.history.mean(at).toFixed(2)} · ${counts}`;
  const box = canvas.getBoundingClientRect();
  const left = clientX - box.left - tip.offsetWidth / 2;
  tip.style.left = `${Math.max(4, Math.min(box.width - tip.offsetWidth - 4, left))}px`;
}
