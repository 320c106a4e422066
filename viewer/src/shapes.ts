/** The shapes by which owners are told apart: polygons, and a ring for what belongs to nobody. */

import type { Owner } from "./theme";

/** Corners of a polygon of radius 1, one of them on top; a square stands on a side. */
export function corners(sides: number): [number, number][] {
  const turn = sides % 4 === 0 ? Math.PI / sides : 0;
  const angle = (k: number): number => (2 * Math.PI * k) / sides - Math.PI / 2 + turn;
  return Array.from({ length: sides }, (_, k) => [Math.cos(angle(k)), Math.sin(angle(k))]);
}

/** Lay a path of the shape around (x, y); those with few corners are made larger to look alike in size. */
export function trace(ink: CanvasRenderingContext2D, sides: number, x: number, y: number, radius: number): void {
  ink.beginPath();
  if (!sides) ink.arc(x, y, radius * 0.85, 0, 7);
  const size = radius * reach(sides);
  for (const [dx, dy] of corners(sides)) ink.lineTo(x + dx * size, y + dy * size);
  ink.closePath();
}

/** A small mark: filled for owners, a ring for nobody. */
export function mark(ink: CanvasRenderingContext2D, owner: Owner, x: number, y: number, radius: number): void {
  trace(ink, owner.sides, x, y, radius);
  ink.fillStyle = ink.strokeStyle = owner.colour;
  ink.lineWidth = Math.max(1, radius * 0.3);
  if (owner.sides) ink.fill();
  else ink.stroke();
}

export const reach = (sides: number): number => (sides === 3 ? 1.3 : sides === 4 ? 1.12 : 1);
