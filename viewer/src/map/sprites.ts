/** Pictures of things and cogs, each drawn once per size and look, then copied. */

import { ICONS, INK, elementColour, fade, gearColour } from "../theme";
import type { Thing } from "../world";

type Ink = CanvasRenderingContext2D;

const paths = new Map<string, Path2D>();

/** Stroke an icon of 24 units into a square of `size` pixels around (x, y). */
export function stroke(ink: Ink, icon: string, x: number, y: number, size: number, colour: string, width = 2): void {
  let path = paths.get(icon);
  if (!path) paths.set(icon, (path = new Path2D(ICONS[icon] ?? "")));
  ink.save();
  ink.translate(x - size / 2, y - size / 2);
  ink.scale(size / 24, size / 24);
  ink.lineWidth = width;
  ink.lineCap = ink.lineJoin = "round";
  ink.strokeStyle = colour;
  ink.stroke(path);
  ink.restore();
}

export class Sprites {
  private readonly cache = new Map<string, HTMLCanvasElement>();
  private size = 0;

  /** Sprites are drawn for cells of this many device pixels. */
  setSize(size: number): void {
    if (size !== this.size) this.cache.clear();
    this.size = size;
  }

  private sprite(key: string, draw: (ink: Ink, size: number) => void): HTMLCanvasElement {
    let canvas = this.cache.get(key);
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.width = canvas.height = Math.ceil(this.size * 1.6);
      const ink = canvas.getContext("2d") as Ink;
      ink.translate(canvas.width / 2, canvas.height / 2);
      draw(ink, this.size);
      this.cache.set(key, canvas);
    }
    return canvas;
  }

  /** A thing: `level` 0..1 tells how full an extractor is. */
  thing(thing: Thing, owner: string | null, level: number): HTMLCanvasElement {
    if (thing.plain === "junction") return this.sprite(`j${owner}`, (ink, size) => junction(ink, size, owner));
    if (thing.plain === "extractor") {
      const tenth = Math.ceil(level * 6);
      return this.sprite(`e${thing.gives}${tenth}`, (ink, size) => extractor(ink, size, thing.gives, tenth / 6));
    }
    if (thing.plain === "station") return this.sprite(`s${thing.gives}`, (ink, size) => station(ink, size, thing.gives));
    return this.sprite(`h${thing.plain}${owner}`, (ink, size) => hub(ink, size, owner ?? INK.neutral));
  }

  /** A cog's body: gear, colour of its rim and whether it still has hp. */
  cog(gear: string, rim: string, alive: boolean, label: string): HTMLCanvasElement {
    return this.sprite(`c${gear}${rim}${alive}${label}`, (ink, size) => cog(ink, size, gear, rim, alive, label));
  }
}

function hexagon(ink: Ink, radius: number): void {
  ink.beginPath();
  for (let k = 0; k < 6; k++) {
    const angle = (Math.PI / 3) * k + Math.PI / 6;
    ink.lineTo(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  ink.closePath();
}

function junction(ink: Ink, size: number, owner: string | null): void {
  const colour = owner ?? INK.neutral;
  if (owner) {
    const glow = ink.createRadialGradient(0, 0, size * 0.2, 0, 0, size * 0.78);
    glow.addColorStop(0, fade(colour, 0.45));
    glow.addColorStop(1, fade(colour, 0));
    ink.fillStyle = glow;
    ink.fillRect(-size * 0.8, -size * 0.8, size * 1.6, size * 1.6);
  }
  hexagon(ink, size * 0.4);
  ink.fillStyle = owner ? fade(colour, 0.28) : INK.floor;
  ink.fill();
  ink.lineWidth = Math.max(1, size * 0.085);
  ink.strokeStyle = colour;
  ink.stroke();
  hexagon(ink, size * (owner ? 0.19 : 0.09));
  ink.fillStyle = colour;
  ink.fill();
}

function extractor(ink: Ink, size: number, element: string, level: number): void {
  const colour = elementColour(element);
  const half = size * 0.36;
  const diamond = new Path2D(`M0 ${-half}L${half * 0.8} 0L0 ${half}L${-half * 0.8} 0Z`);
  ink.fillStyle = fade(colour, 0.16);
  ink.fill(diamond);
  ink.save();
  ink.clip(diamond);
  ink.fillStyle = fade(colour, 0.75);
  ink.fillRect(-half, half - 2 * half * level, 2 * half, 2 * half);
  ink.restore();
  ink.lineWidth = Math.max(1, size * 0.05);
  ink.strokeStyle = fade(colour, 0.9);
  ink.stroke(diamond);
  if (size >= 26) {
    ink.fillStyle = "#0b0e13";
    ink.font = `700 ${Math.round(size * 0.3)}px system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillText((element[0] ?? "").toUpperCase(), 0, size * 0.03);
  }
}

function station(ink: Ink, size: number, gear: string): void {
  const colour = gearColour(gear);
  const half = size * 0.42;
  ink.beginPath();
  ink.roundRect(-half, -half, 2 * half, 2 * half, size * 0.16);
  ink.fillStyle = "#0f141b";
  ink.fill();
  ink.fillStyle = fade(colour, 0.2);
  ink.fill();
  ink.lineWidth = Math.max(1, size * 0.05);
  ink.strokeStyle = fade(colour, 0.85);
  ink.stroke();
  stroke(ink, gear, 0, 0, size * 0.68, colour, 2.2);
}

function hub(ink: Ink, size: number, colour: string): void {
  const half = size * 0.5;
  const glow = ink.createRadialGradient(0, 0, size * 0.3, 0, 0, size * 0.8);
  glow.addColorStop(0, fade(colour, 0.4));
  glow.addColorStop(1, fade(colour, 0));
  ink.fillStyle = glow;
  ink.fillRect(-size * 0.8, -size * 0.8, size * 1.6, size * 1.6);
  ink.beginPath();
  ink.roundRect(-half, -half, 2 * half, 2 * half, size * 0.2);
  ink.fillStyle = colour;
  ink.fill();
  stroke(ink, "hub", 0, 0, size * 0.8, "#0b0e13", 2.4);
}

function cog(ink: Ink, size: number, gear: string, rim: string, alive: boolean, label: string): void {
  const colour = alive ? gearColour(gear) : INK.faint;
  const radius = size * 0.37;
  ink.beginPath();
  ink.arc(0, 0, radius + size * 0.07, 0, 7);
  ink.fillStyle = "rgba(6, 9, 13, 0.75)";
  ink.fill();
  ink.beginPath();
  ink.arc(0, 0, radius, 0, 7);
  const body = ink.createLinearGradient(0, -radius, 0, radius);
  body.addColorStop(0, colour);
  body.addColorStop(1, fade(colour, 0.78));
  ink.fillStyle = INK.floor;
  ink.fill();
  ink.fillStyle = body;
  ink.fill();
  ink.lineWidth = Math.max(1.25, size * 0.06);
  ink.strokeStyle = rim;
  ink.stroke();
  if (size >= 36 && gear) stroke(ink, gear, 0, -size * 0.02, size * 0.52, "#0b0e13", 2.6);
  else if (size >= 13) {
    ink.fillStyle = "#0b0e13";
    ink.font = `700 ${Math.round(size * (label.length > 1 ? 0.38 : 0.46))}px system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillText(label, 0, size * 0.03);
  }
}
