/** The map on its canvas: what moves is drawn each frame over layers that were painted once. */

import { Areas } from "../areas";
import type { Game } from "../game";
import { Col, GONE } from "../header";
import { CLIPS, INK, clips, fade, gearColour, theme } from "../theme";
import { Camera } from "./camera";
import { paintGround } from "./ground";
import { Minimap } from "./minimap";
import { placeOf } from "./pick";
import { Sprites, stroke } from "./sprites";
import { Tint } from "./tint";
import { Visits } from "./visits";

const TRAIL = 14; // steps
const SMALLEST_COG = 20; // pixels of its cell, so that cogs are seen on the whole map
const NEAR = 20; // pixels of a cell from which hearts are counted
const UNSEEN = 0.7; // of dusk over what the selected cog does not see
const PULSE = 10; // steps that a ring around an event is seen

export interface Look {
  position: number;
  selected: number | null;
  controlled: number | null;
  /** Thing that is inspected. */
  thing: number | null;
  areas: boolean;
  visits: boolean;
  sight: boolean;
  /** Cells of the way that the cog which was taken over is to go. */
  way: readonly (readonly [number, number])[];
}

export class MapView {
  readonly camera: Camera;
  minimap!: Minimap;
  private readonly ink: CanvasRenderingContext2D;
  private ground!: HTMLCanvasElement;
  private tint!: Tint;
  private readonly visits: Visits;
  private readonly sprites = new Sprites();
  private readonly cogs = new Sprites();
  private readonly back: CanvasRenderingContext2D;
  private backSeen = "";
  private ratio = 1;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    readonly game: Game,
  ) {
    this.camera = new Camera(game.bounds);
    this.visits = new Visits(game);
    this.ink = canvas.getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    this.back = document.createElement("canvas").getContext("2d", { alpha: false }) as CanvasRenderingContext2D;
    this.repaint();
  }

  /** Paint anew what is painted once: the colours are others. */
  repaint(): void {
    this.ground = paintGround(this.game.world);
    this.minimap = new Minimap(this.game);
    this.tint = new Tint(new Areas(this.game.world), this.game.colours);
  }

  /** Take the canvas's present size. Returns whether it changed. */
  resize(): boolean {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    if (clientWidth === this.camera.width && clientHeight === this.camera.height && ratio === this.ratio) return false;
    this.ratio = ratio;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.camera.resize(clientWidth, clientHeight);
    return true;
  }

  zoomBy(factor: number): void {
    this.camera.zoomAt(factor, this.camera.width / 2, this.camera.height / 2);
  }

  /** Row and column of an agent at a time between steps. */
  private place(agent: number, position: number): [number, number] {
    return placeOf(this.game, agent, position);
  }

  draw(look: Look): void {
    const { ink, camera, game } = this;
    const step = Math.floor(look.position);
    const state = game.recording.state(step);
    if (look.areas) this.tint.update(state);
    this.paintBack(look.areas, game.world.isDay(step));
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.drawImage(this.back.canvas, 0, 0);
    ink.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.sprites.setSize(Math.round(camera.zoom * this.ratio));
    if (look.visits) this.drawVisits(step, look.selected);
    this.cogs.setSize(Math.round(Math.max(camera.zoom, SMALLEST_COG) * this.ratio));
    if (look.selected !== null) this.drawIntent(look.selected, look.position, state);
    if (look.thing !== null) this.drawReach(look.thing, state);
    this.drawThings(state);
    this.drawPulses(look.position);
    for (let agent = 0; agent < game.world.agents; agent++) if (agent !== look.selected) this.drawCog(agent, state, look);
    if (look.selected !== null) this.drawCog(look.selected, state, look);
    if (look.way.length) this.drawWay(look.way);
    if (look.sight && look.selected !== null) this.shadeUnseen(...this.place(look.selected, look.position));
    this.minimap.draw(ink, camera, state, (agent) => this.place(agent, look.position));
  }

  /** Paint floor, areas and walls as they are seen, unless they were painted so before. */
  private paintBack(areas: boolean, day: boolean): void {
    const { back, camera, canvas, ratio } = this;
    const seen = [camera.x, camera.y, camera.zoom, canvas.width, canvas.height, areas && this.tint.version, day, theme.value].join();
    if (seen === this.backSeen) return;
    this.backSeen = seen;
    if (back.canvas.width !== canvas.width) back.canvas.width = canvas.width;
    if (back.canvas.height !== canvas.height) back.canvas.height = canvas.height;
    back.setTransform(ratio, 0, 0, ratio, 0, 0);
    back.fillStyle = INK.void;
    back.fillRect(0, 0, camera.width, camera.height);
    const [left, top] = camera.toPixel(-0.5, -0.5);
    const [width, height] = [this.game.world.cols * camera.zoom, this.game.world.rows * camera.zoom];
    back.fillStyle = INK.floor;
    back.fillRect(left, top, width, height);
    if (areas) back.drawImage(this.tint.canvas, left, top, width, height);
    back.drawImage(this.ground, left, top, width, height);
    if (day) return;
    back.fillStyle = fade(INK.dusk, 0.25);
    back.fillRect(0, 0, camera.width, camera.height);
  }

  private stamp(sprite: HTMLCanvasElement, row: number, col: number): void {
    const [x, y] = this.camera.toPixel(col, row);
    const size = sprite.width / this.ratio;
    if (x < -size || y < -size || x > this.camera.width + size || y > this.camera.height + size) return;
    this.ink.drawImage(sprite, x - size / 2, y - size / 2, size, size);
  }

  private drawThings(state: Int32Array): void {
    const { world, full } = this.game;
    for (const thing of world.things) {
      const owner = world.owner(state, thing.index);
      if (owner === GONE) continue;
      const stock = world.stock(state, thing.index);
      const level = Math.min(1, stock / Math.max(1, full[thing.index] ?? 1));
      this.stamp(this.sprites.thing(thing, this.game.ownerOf(owner), level), thing.row, thing.col);
      if (thing.plain === "hub" && this.camera.zoom >= NEAR) this.badge(thing.row, thing.col, stock, CLIPS);
    }
  }

  /** A number with a heart at the lower right of a cell. */
  private badge(row: number, col: number, count: number, colour: string): void {
    const { ink, camera } = this;
    const [x, y] = camera.toPixel(col + 0.36, row + 0.38);
    const size = Math.max(9, Math.min(15, camera.zoom * 0.34));
    ink.font = `700 ${size}px system-ui, sans-serif`;
    const width = ink.measureText(String(count)).width + size * 1.35;
    ink.fillStyle = fade(INK.void, 0.88);
    ink.beginPath();
    ink.roundRect(x - width / 2, y - size * 0.7, width, size * 1.4, size * 0.7);
    ink.fill();
    stroke(ink, "heart", x - width / 2 + size * 0.72, y, size * 0.95, colour, 3);
    ink.fillStyle = INK.text;
    ink.textAlign = "left";
    ink.textBaseline = "middle";
    ink.fillText(String(count), x - width / 2 + size * 1.2, y + size * 0.06);
  }

  private drawCog(agent: number, state: Int32Array, look: Look): void {
    const { world } = this.game;
    const { ink, camera } = this;
    const [row, col] = this.place(agent, look.position);
    const [x, y] = camera.toPixel(col, row);
    const zoom = Math.max(camera.zoom, SMALLEST_COG);
    if (x < -zoom || y < -zoom || x > camera.width + zoom || y > camera.height + zoom) return;
    const hp = world.held(state, agent, "hp");
    if (agent === look.selected) this.ring(x, y, zoom * 0.64, agent === look.controlled ? INK.strong : INK.accent);
    this.stamp(this.cogs.cog(world.gear(state, agent), this.game.teamMark(agent), hp > 0, String(agent)), row, col);
    const share = Math.min(1, hp / Math.max(1, world.limit(state, agent, "hp")));
    if (share < 1 && hp > 0) {
      ink.lineWidth = Math.max(2, zoom * 0.09);
      ink.strokeStyle = share > 0.5 ? INK.good : share > 0.25 ? INK.warning : CLIPS;
      ink.beginPath();
      ink.arc(x, y, zoom * 0.5, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * share);
      ink.stroke();
    }
    const hearts = world.held(state, agent, "heart");
    if (hearts && camera.zoom >= NEAR) this.badge(row, col, hearts, CLIPS);
    else if (hearts) {
      ink.fillStyle = CLIPS;
      ink.beginPath();
      ink.arc(x + zoom * 0.34, y + zoom * 0.34, Math.max(2, zoom * 0.14), 0, 7);
      ink.fill();
    }
    if (zoom >= 30) this.drawLabels(agent, state, x, y);
  }

  /** Number and vibe of a cog seen from near. */
  private drawLabels(agent: number, state: Int32Array, x: number, y: number): void {
    const { ink, camera, game } = this;
    const { world } = game;
    const size = Math.min(13, camera.zoom * 0.32);
    ink.font = `700 ${size}px system-ui, sans-serif`;
    ink.textAlign = "center";
    ink.textBaseline = "middle";
    ink.lineWidth = 3;
    ink.strokeStyle = fade(INK.void, 0.9);
    const vibe = world.agent(state, agent, Col.Vibe);
    const name = vibe ? (world.header.vibes[vibe] ?? "") : "";
    ink.strokeText(String(agent), x - camera.zoom * 0.42, y - camera.zoom * 0.42);
    ink.fillStyle = INK.text;
    ink.fillText(String(agent), x - camera.zoom * 0.42, y - camera.zoom * 0.42);
    if (name) stroke(ink, name === "gear" ? "junction" : name, x + camera.zoom * 0.44, y - camera.zoom * 0.44, size * 1.2, gearColour(name), 2.6);
  }

  private ring(x: number, y: number, radius: number, colour: string): void {
    this.ink.strokeStyle = colour;
    this.ink.lineWidth = 2;
    this.ink.beginPath();
    this.ink.arc(x, y, radius, 0, 7);
    this.ink.stroke();
  }

  /** Of the selected cog: what it sees, where it came from and where it means to go. */
  private drawIntent(agent: number, position: number, state: Int32Array): void {
    const { ink, camera } = this;
    const { world } = this.game;
    const [row, col] = this.place(agent, position);
    const colour = gearColour(world.gear(state, agent));
    const half = world.header.sight.window / 2;
    const [left, top] = camera.toPixel(col - half, row - half);
    const side = 2 * half * camera.zoom;
    ink.fillStyle = fade(INK.accent, 0.05);
    ink.fillRect(left, top, side, side);
    ink.setLineDash([5, 5]);
    ink.lineWidth = 1;
    ink.strokeStyle = fade(INK.accent, 0.55);
    ink.strokeRect(left, top, side, side);
    const target = [world.agent(state, agent, Col.TargetRow), world.agent(state, agent, Col.TargetColumn)] as const;
    if (target[0] >= 0) {
      const [x, y] = camera.toPixel(target[1], target[0]);
      const [fromX, fromY] = camera.toPixel(col, row);
      ink.strokeStyle = colour;
      ink.lineWidth = 1.5;
      ink.beginPath();
      ink.moveTo(fromX, fromY);
      ink.lineTo(x, y);
      ink.stroke();
      ink.setLineDash([]);
      this.ring(x, y, Math.max(6, camera.zoom * 0.6), colour);
    }
    ink.setLineDash([]);
    this.drawTrail(agent, position, colour);
  }

  private drawVisits(step: number, agent: number | null): void {
    const { ink, camera } = this;
    const [left, top] = camera.toPixel(-0.5, -0.5);
    const { width, height } = this.visits.update(step, agent);
    ink.imageSmoothingEnabled = false;
    ink.drawImage(this.visits.canvas, left, top, width * camera.zoom, height * camera.zoom);
    ink.imageSmoothingEnabled = true;
  }

  /** A ring around the thing that is inspected, and around its area. */
  private drawReach(index: number, state: Int32Array): void {
    const { ink, camera } = this;
    const { world } = this.game;
    const thing = world.things[index];
    if (!thing) return;
    const [x, y] = camera.toPixel(thing.col, thing.row);
    this.ring(x, y, Math.max(9, camera.zoom * 0.78), INK.accent);
    if (!world.hasArea(thing)) return;
    const colour = this.game.ownerOf(world.owner(state, index)).colour;
    ink.fillStyle = fade(colour, 0.12);
    ink.setLineDash([6, 5]);
    this.ring(x, y, (world.header.radius + 0.5) * camera.zoom, colour);
    ink.fill();
    ink.setLineDash([]);
  }

  /** Where the cog that was taken over is to go. */
  private drawWay(way: Look["way"]): void {
    const { ink, camera } = this;
    ink.strokeStyle = INK.strong;
    ink.lineWidth = 2;
    ink.setLineDash([3, 5]);
    ink.beginPath();
    for (const [row, col] of way) ink.lineTo(...camera.toPixel(col, row));
    ink.stroke();
    ink.setLineDash([]);
    const [row, col] = way[way.length - 1] as readonly [number, number];
    this.ring(...camera.toPixel(col, row), Math.max(7, camera.zoom * 0.45), INK.strong);
  }

  /** Darken all that the selected cog does not see. */
  private shadeUnseen(row: number, col: number): void {
    const { ink, camera } = this;
    const { window } = this.game.world.header.sight;
    const [left, top] = camera.toPixel(col - window / 2, row - window / 2);
    ink.fillStyle = fade(INK.dusk, UNSEEN);
    ink.beginPath();
    ink.rect(0, 0, camera.width, camera.height);
    ink.rect(left, top, window * camera.zoom, window * camera.zoom);
    ink.fill("evenodd");
  }

  private drawTrail(agent: number, position: number, colour: string): void {
    const { ink, camera } = this;
    ink.lineWidth = Math.max(2, camera.zoom * 0.14);
    ink.lineCap = "butt"; // round ends would show where the see-through pieces meet
    let [row, col] = this.place(agent, position);
    for (let back = 0; back < TRAIL && Math.floor(position) - back >= 0; back++) {
      const [r, c] = this.place(agent, Math.floor(position) - back);
      ink.strokeStyle = fade(colour, 0.45 * (1 - back / TRAIL));
      ink.beginPath();
      ink.moveTo(...camera.toPixel(col, row));
      ink.lineTo(...camera.toPixel(c, r));
      ink.stroke();
      [row, col] = [r, c];
    }
  }

  /** Rings that spread from junctions that changed hands and cogs that went down. */
  private drawPulses(position: number): void {
    const { events } = this.game.history;
    const { camera, ink } = this;
    for (let k = firstAfter(events, position - PULSE); k < events.length; k++) {
      const event = events[k] as (typeof events)[number];
      if (event.step > position) break;
      if (event.kind === "gear" || event.kind === "heart") continue;
      const age = (position - event.step) / PULSE;
      const owner = event.agent >= 0 ? this.game.ownerOf(this.game.teamOf(event.agent)) : clips();
      const [x, y] = camera.toPixel(event.col, event.row);
      ink.lineWidth = 2.5;
      ink.strokeStyle = fade(event.kind === "death" ? INK.strong : owner.colour, 0.9 * (1 - age));
      ink.beginPath();
      ink.arc(x, y, camera.zoom * (0.6 + 2.2 * age), 0, 7);
      ink.stroke();
    }
  }
}

/** Index of the first event after a step. */
export function firstAfter(events: { step: number }[], step: number): number {
  let [low, high] = [0, events.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.step ?? 0) > step) high = middle;
    else low = middle + 1;
  }
  return low;
}
