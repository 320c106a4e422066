/** The timeline's picture: nights, junctions held, the mean score, marks of events, the present step. */

import type { Game } from "../game";
import { mark } from "../shapes";
import { last, selected, step } from "../store";
import type { Owner } from "../theme";
import { INK, clips, fade, theme } from "../theme";

const EDGE = 10; // pixels left and right
const LANE = 5; // pixels below the curves for the events of each owner
const MARK = 3.5; // pixels, of the shape at the end of a line

export function stepAt(canvas: HTMLCanvasElement, clientX: number, total: number): number {
  const box = canvas.getBoundingClientRect();
  const share = (clientX - box.left - EDGE) / (box.width - 2 * EDGE);
  return Math.max(0, Math.min(last.value, Math.round(share * total)));
}

/** Where things are on the canvas, in pixels of CSS. */
interface Frame {
  width: number;
  height: number;
  floor: number;
  x: (step: number) => number;
}

/** All but the present step, kept until it changes. */
let kept: { key: string; game: Game; layer: HTMLCanvasElement } | null = null;

export function drawCurve(canvas: HTMLCanvasElement, game: Game, total: number, hovered: number | null): void {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const x = (at: number): number => EDGE + ((width - 2 * EDGE) * at) / Math.max(1, total);
  const frame = { width, height, floor: height - lanes(game) * LANE - 3, x };
  const key = [game.history.length, total, width, height, ratio, selected.value, theme.value].join();
  if (kept?.key !== key || kept.game !== game) kept = { key, game, layer: paint(game, total, frame, ratio) };
  canvas.width = kept.layer.width;
  canvas.height = kept.layer.height;
  const ink = canvas.getContext("2d") as CanvasRenderingContext2D;
  ink.drawImage(kept.layer, 0, 0);
  ink.scale(ratio, ratio);
  if (hovered !== null) rule(ink, x(hovered), frame.floor, INK.faint);
  rule(ink, x(step.value), height, INK.strong);
  ink.fillStyle = INK.strong;
  ink.beginPath();
  ink.arc(x(step.value), 5, 4, 0, 7);
  ink.fill();
}

function paint(game: Game, total: number, frame: Frame, ratio: number): HTMLCanvasElement {
  const layer = document.createElement("canvas");
  layer.width = frame.width * ratio;
  layer.height = frame.height * ratio;
  const ink = layer.getContext("2d") as CanvasRenderingContext2D;
  ink.scale(ratio, ratio);
  drawNights(ink, game, total, frame);
  const every = Math.max(1, Math.floor(game.history.length / Math.max(1, frame.width)));
  const steps: number[] = [];
  for (let at = 0; at < game.history.length; at += every) steps.push(at);
  if (steps[steps.length - 1] !== game.history.length - 1) steps.push(game.history.length - 1);
  drawHeld(ink, game, steps, frame);
  drawScores(ink, game, steps, frame);
  drawMarks(ink, game, frame.x, frame.floor + 3);
  return layer;
}

/** Mean scores, of each team where there are several, and the score of the cog that was chosen. */
function drawScores(ink: CanvasRenderingContext2D, game: Game, steps: number[], { x, floor }: Frame): void {
  const chosen = selected.value;
  const groups = game.teams.length > 1 ? game.teams : [null];
  const means = groups.map((team) => steps.map((at) => game.history.mean(at, team)));
  const scores = means.flat();
  const own = chosen === null ? [] : steps.map((at) => game.history.scores[at]?.[chosen] ?? 0);
  const [low, high] = [Math.min(0, ...scores, ...own), Math.max(1e-6, ...scores, ...own)];
  const y = (score: number): number => floor - ((floor - 8) * (score - low)) / (high - low);
  const line = (values: number[], colour: string, owner: Owner | null): void => {
    ink.beginPath();
    values.forEach((value, k) => ink.lineTo(x(steps[k] ?? 0), y(value)));
    ink.strokeStyle = colour;
    ink.lineWidth = 1.75;
    ink.lineJoin = "round";
    ink.stroke();
    if (owner) mark(ink, owner, x(steps[steps.length - 1] ?? 0), y(values[values.length - 1] ?? 0), MARK);
  };
  line(own, INK.strong, null);
  means.forEach((values, k) => {
    const team = groups[k];
    const owner = team == null ? null : game.ownerOf(team);
    line(values, owner?.colour ?? INK.accent, owner);
  });
  const words: Word[] = [[`mean score, up to ${Math.max(...scores).toPrecision(3)}`, INK.accent]];
  if (chosen !== null) words.push([`cog ${chosen}`, INK.strong]);
  caption(ink, x(0) + 8, [...words, ["junctions held", INK.dim]]);
}

type Word = [string, string];

/** Coloured words in a row. */
function caption(ink: CanvasRenderingContext2D, left: number, words: Word[]): void {
  ink.font = "500 10.5px system-ui, sans-serif";
  ink.textBaseline = "top";
  ink.textAlign = "left";
  for (const [word, colour] of words) {
    ink.fillStyle = colour;
    ink.fillText(word, left, 5);
    left += ink.measureText(word).width + 14;
  }
}

function drawNights(ink: CanvasRenderingContext2D, game: Game, total: number, { x, floor }: Frame): void {
  ink.fillStyle = INK.floor;
  ink.fillRect(x(0), 0, x(total) - x(0), floor);
  const length = game.world.header.day_length;
  if (!length) return;
  ink.fillStyle = "rgba(70, 90, 150, 0.16)"; // as good on light ground as on dark
  for (let dusk = length / 2; dusk < total; dusk += length) {
    ink.fillRect(x(dusk), 0, x(Math.min(total, dusk + length / 2)) - x(dusk), floor);
  }
}

/** Junctions of each collective as areas from the floor up, on one scale. */
function drawHeld(ink: CanvasRenderingContext2D, game: Game, steps: number[], { x, floor }: Frame): void {
  const junctions = game.world.things.filter((thing) => thing.plain === "junction").length;
  game.world.header.collectives.forEach((_, collective) => {
    const owner = game.ownerOf(collective);
    const end = x(steps[steps.length - 1] ?? 0);
    const y = (at: number): number => floor - ((floor - 8) * (game.history.held[at]?.[collective] ?? 0)) / Math.max(1, junctions);
    ink.beginPath();
    ink.moveTo(x(0), floor);
    for (const at of steps) ink.lineTo(x(at), y(at));
    ink.lineTo(end, floor);
    ink.fillStyle = fade(owner.colour, 0.16);
    ink.fill();
    ink.strokeStyle = fade(owner.colour, 0.8);
    ink.lineWidth = 1;
    ink.stroke();
    mark(ink, owner, end, y(steps[steps.length - 1] ?? 0), MARK);
  });
}

const MOST_LANES = 4;
const lanes = (game: Game): number => Math.min(MOST_LANES, game.world.header.collectives.length + 1);

/** Events by who did them, a lane for each owner and the lowest for cogs that went down. */
function drawMarks(ink: CanvasRenderingContext2D, game: Game, x: (at: number) => number, top: number): void {
  const { collectives } = game.world.header;
  const down = lanes(game) - 1;
  const lane = (collective: number): number => Math.min(down - 1, collective);
  collectives.forEach((_, each) => mark(ink, game.ownerOf(each), EDGE / 2, top + (lane(each) + 0.5) * LANE, 2.2));
  for (const event of game.history.events) {
    if (event.kind === "gear" || event.kind === "heart") continue;
    const dead = event.kind === "death";
    const who = event.agent >= 0 ? game.teamOf(event.agent) : collectives.indexOf("clips");
    ink.fillStyle = dead ? INK.strong : (event.agent >= 0 ? game.ownerOf(who) : clips()).colour;
    ink.fillRect(x(event.step) - 0.75, top + (dead ? down : lane(Math.max(0, who))) * LANE + 0.5, 1.5, LANE - 1);
  }
}

function rule(ink: CanvasRenderingContext2D, x: number, height: number, colour: string): void {
  ink.fillStyle = colour;
  ink.fillRect(x - 0.5, 0, 1, height);
}
