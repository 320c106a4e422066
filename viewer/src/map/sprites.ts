/** Pictures of things and cogs, each drawn once per size and look, then copied. */

import { ICONS } from "../icons";
import { mark, trace } from "../shapes";
import type { Owner } from "../theme";
import { INK, elementColour, fade, gearColour } from "../theme";
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
  private ink = INK;

  /** Sprites are drawn for cells of this many device pixels, in the colours in use. */
  setSize(size: number): void {
    if (size !== this.size || INK !== this.ink) this.cache.clear();
    this.size = size;
    this.ink = INK;
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
  thing(thing: Thing, owner: Owner, level: number): HTMLCanvasElement {
    if (thing.plain === "junction") return this.sprite(`j${owner.colour}`, (ink, size) => junction(ink, size, owner));
    if (thing.plain === "extractor") {
      const tenth = Math.ceil(level * 6);
      return this.sprite(`e${thing.gives}${tenth}`, (ink, size) => extractor(ink, size, thing.gives, tenth / 6));
    }
    if (thing.plain === "station") return this.sprite(`s${thing.gives}`, (ink, size) => station(ink, size, thing.gives));
    return this.sprite(`h${thing.plain}${owner.colour}`, (ink, size) => hub(ink, size, owner.colour));
  }

  /** A cog's body: gear, whether it still has hp, and its team where there are several. */
  cog(gear: string, team: Owner | null, alive: boolean, label: string): HTMLCanvasElement {
    return this.sprite(`c${gear}${team?.colour}${alive}${label}`, (ink, size) => cog(ink, size, gear, team, alive, label));
  }
}

function junction(ink: Ink, size: number, { colour, sides }: Owner): void {
  if (sides) glow(ink, size, colour, 0.2, 0.45);
  trace(ink, sides, 0, 0, size * 0.4);
  ink.fillStyle = INK.floor;
  ink.fill();
  ink.fillStyle = fade(colour, sides ? 0.35 : 0);
  ink.fill();
  ink.lineWidth = Math.max(1, size * 0.085);
  ink.strokeStyle = colour;
  ink.stroke();
  mark(ink, { colour, sides: sides || 12 }, 0, 0, size * (sides ? 0.19 : 0.09));
}

/** Light around a thing that belongs to somebody. */
function glow(ink: Ink, size: number, colour: string, inner: number, strength: number): void {
  const light = ink.createRadialGradient(0, 0, size * inner, 0, 0, size * 0.8);
  light.addColorStop(0, fade(colour, strength));
  light.addColorStop(1, fade(colour, 0));
  ink.fillStyle = light;
  ink.fillRect(-size * 0.8, -size * 0.8, size * 1.6, size * 1.6);
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
    ink.fillStyle = INK.contrast;
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
  ink.fillStyle = INK.floor;
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
  glow(ink, size, colour, 0.3, 0.4);
  ink.beginPath();
  ink.roundRect(-half, -half, 2 * half, 2 * half, size * 0.2);
  ink.fillStyle = colour;
  ink.fill();
  stroke(ink, "hub", 0, 0, size * 0.8, INK.contrast, 2.4);
}

function cog(ink: Ink, size: number, gear: string, team: Owner | null, alive: boolean, label: string): void {
  const colour = alive ? gearColour(gear) : INK.faint;
  const radius = size * 0.37;
  ink.beginPath();
  ink.arc(0, 0, radius + size * 0.07, 0, 7);
  ink.fillStyle = fade(INK.void, 0.75);
  ink.fill();
  ink.beginPath();
  ink.arc(0, 0, radius, 0, 7);
  const body = ink.createLinearGradient(0, -radius, 0, radius);
  body.addColorStop(0, colour);
  body.addColorStop(1, fade(colour, 0.78));
  ink.fillStyle = INK.floor;
  ink.fill();
  ink.fillStyle = alive ? body : "transparent";
  ink.fill();
  ink.lineWidth = Math.max(1.25, size * 0.06);
  ink.strokeStyle = team?.colour ?? INK.text;
  ink.stroke();
  const word = alive ? INK.contrast : colour;
  if (size >= 36 && gear) stroke(ink, gear, 0, -size * 0.02, size * 0.52, word, 2.6);
  else if (size >= 13) {
    ink.fillStyle = word;
    ink.font = `700 ${Math.round(size * (label.length > 1 ? 0.38 : 0.46))}px system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.fillText(label, 0, size * 0.03);
  }
  if (team) badge(ink, size, team);
}

/** The team's shape at the lower left of a cog. */
function badge(ink: Ink, size: number, team: Owner): void {
  const [x, y] = [-size * 0.34, size * 0.34];
  mark(ink, { colour: INK.void, sides: team.sides }, x, y, size * 0.26);
  mark(ink, team, x, y, size * 0.19);
}
