/** What does not move, painted once: walls, rock and the marks of the floor; the floor itself is left clear. */

import { INK } from "../theme";
import type { World } from "../world";

const MOST_PIXELS = 3600; // of a side

export function paintGround(world: World): HTMLCanvasElement {
  const size = Math.max(4, Math.min(32, Math.floor(MOST_PIXELS / Math.max(world.rows, world.cols))));
  const canvas = document.createElement("canvas");
  canvas.width = world.cols * size;
  canvas.height = world.rows * size;
  const ink = canvas.getContext("2d") as CanvasRenderingContext2D;
  for (let row = 0; row < world.rows; row++) {
    for (let col = 0; col < world.cols; col++) {
      if (world.isWall(row, col)) paintWall(ink, world, row, col, size);
      else paintMark(ink, row, col, size);
    }
  }
  return canvas;
}

function paintMark(ink: CanvasRenderingContext2D, row: number, col: number, size: number): void {
  ink.fillStyle = INK.grid;
  const dot = Math.max(1, size / 14);
  ink.fillRect((col + 0.5) * size - dot / 2, (row + 0.5) * size - dot / 2, dot, dot);
}

/** A wall is seen where it meets the floor; what lies deep inside rock stays dark. */
function paintWall(ink: CanvasRenderingContext2D, world: World, row: number, col: number, size: number): void {
  const open = (dr: number, dc: number): boolean => {
    const [r, c] = [row + dr, col + dc];
    return r >= 0 && c >= 0 && r < world.rows && c < world.cols && !world.isWall(r, c);
  };
  const [north, south, west, east] = [open(-1, 0), open(1, 0), open(0, -1), open(0, 1)];
  const near = north || south || west || east || open(-1, -1) || open(-1, 1) || open(1, -1) || open(1, 1);
  const [x, y, round] = [col * size, row * size, size * 0.28];
  ink.fillStyle = near ? INK.wall : INK.void;
  const corner = (a: boolean, b: boolean): number => (a && b ? round : 0);
  ink.beginPath();
  ink.roundRect(x, y, size, size, [corner(north, west), corner(north, east), corner(south, east), corner(south, west)]);
  ink.fill();
  if (north) {
    ink.fillStyle = INK.wallTop;
    ink.beginPath();
    ink.roundRect(x, y, size, size * 0.22, [corner(north, west), corner(north, east), 0, 0]);
    ink.fill();
  }
}
