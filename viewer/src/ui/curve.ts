/** The timeline's picture: nights, junctions held, the mean score, marks of events, the present step. */

import type { Game } from "../game";
import { last, selected, step } from "../store";
import { CLIPS, INK, fade } from "../theme";

const EDGE = 10; // pixels left and right
const MARKS = 9; // pixels below for event marks

export function stepAt(canvas: HTMLCanvasElement, clientX: number, total: number): number {
  const box = canvas.getBoundingClientRect();
  const share = (clientX - box.left - EDGE) / (box.width - 2 * EDGE);
  return Math.max(0, Math.min(last.value, Math.round(share * total)));
}

export function drawCurve(canvas: HTMLCanvasElement, game: Game, total: number, hovered: number | null): void {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const ink = canvas.getContext("2d") as CanvasRenderingContext2D;
  ink.scale(ratio, ratio);
  const span = Math.max(1, total);
  const x = (at: number): number => EDGE + ((width - 2 * EDGE) * at) / span;
  const floor = height - MARKS - 2;
  drawNights(ink, game, total, x, floor);
  const every = Math.max(1, Math.floor(game.history.length / width));
  const steps: number[] = [];
  for (let at = 0; at < game.history.length; at += every) steps.push(at);
  if (steps[steps.length - 1] !== game.history.length - 1) steps.push(game.history.length - 1);
  drawHeld(ink, game, steps, x, floor);
  const chosen = selected.value;
  const groups = game.teams.length > 1 ? game.teams : [null];
  const means = groups.map((team) => steps.map((at) => game.history.mean(at, team)));
  const scores = means.flat();
  const own = chosen === null ? [] : steps.map((at) => game.history.scores[at]?.[chosen] ?? 0);
  const [low, high] = [Math.min(0, ...scores, ...own), Math.max(1e-6, ...scores, ...own)];
  const y = (score: number): number => floor - ((floor - 8) * (score - low)) / (high - low);
  const line = (values: number[], colour: string): void => {
    ink.beginPath();
    values.forEach((value, k) => ink.lineTo(x(steps[k] ?? 0), y(value)));
    ink.strokeStyle = colour;
    ink.lineWidth = 1.75;
    ink.lineJoin = "round";
    ink.stroke();
  };
  line(own, "#ffffff");
  means.forEach((values, k) => line(values, groups[k] == null ? INK.accent : (game.colours[groups[k]] ?? INK.accent)));
  caption(ink, x(0) + 8, [[`mean score, up to ${Math.max(...scores).toPrecision(3)}`, INK.accent], ...(chosen === null ? [] : [[`cog ${chosen}`, "#ffffff"] as Word]), ["junctions held", INK.dim]]);
  drawMarks(ink, game, x, height - MARKS);
  if (hovered !== null) rule(ink, x(hovered), floor, INK.faint);
  rule(ink, x(step.value), height, "#ffffff");
  ink.fillStyle = "#ffffff";
  ink.beginPath();
  ink.arc(x(step.value), 5, 4, 0, 7);
  ink.fill();
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

function drawNights(ink: CanvasRenderingContext2D, game: Game, total: number, x: (at: number) => number, floor: number): void {
  ink.fillStyle = "#0f141c";
  ink.fillRect(x(0), 0, x(total) - x(0), floor);
  const length = game.world.header.day_length;
  if (!length) return;
  ink.fillStyle = "rgba(70, 90, 150, 0.16)";
  for (let dusk = length / 2; dusk < total; dusk += length) {
    ink.fillRect(x(dusk), 0, x(Math.min(total, dusk + length / 2)) - x(dusk), floor);
  }
}

/** Junctions of each collective as areas from the floor up, on one scale. */
function drawHeld(ink: CanvasRenderingContext2D, game: Game, steps: number[], x: (at: number) => number, floor: number): void {
  const junctions = game.world.things.filter((thing) => thing.plain === "junction").length;
  game.colours.forEach((colour, collective) => {
    ink.beginPath();
    ink.moveTo(x(0), floor);
    for (const at of steps) ink.lineTo(x(at), floor - ((floor - 8) * (game.history.held[at]?.[collective] ?? 0)) / Math.max(1, junctions));
    ink.lineTo(x(steps[steps.length - 1] ?? 0), floor);
    ink.fillStyle = fade(colour, 0.16);
    ink.fill();
    ink.strokeStyle = fade(colour, 0.6);
    ink.lineWidth = 1;
    ink.stroke();
  });
}

function drawMarks(ink: CanvasRenderingContext2D, game: Game, x: (at: number) => number, top: number): void {
  for (const event of game.history.events) {
    if (event.kind === "gear" || event.kind === "heart") continue;
    const team = event.agent >= 0 ? (game.colourOf(game.teamOf(event.agent)) ?? INK.neutral) : CLIPS;
    ink.fillStyle = fade(event.kind === "death" ? "#ffffff" : team, 0.75);
    ink.fillRect(x(event.step) - 0.75, top + 1, 1.5, MARKS - 2);
  }
}

function rule(ink: CanvasRenderingContext2D, x: number, height: number, colour: string): void {
  ink.fillStyle = colour;
  ink.fillRect(x - 0.5, 0, 1, height);
}
