/** The whole map in a corner, while only a part of it is seen. */

import type { Game } from "../game";
import { mark } from "../shapes";
import { INK, gearColour } from "../theme";
import type { Camera } from "./camera";

const SIDE = 150; // pixels, at most
const EDGE = 12;

export class Minimap {
  private readonly walls = document.createElement("canvas");
  private readonly scale: number; // pixels of a cell

  constructor(private readonly game: Game) {
    const { world } = game;
    this.scale = SIDE / Math.max(world.rows, world.cols);
    this.walls.width = world.cols;
    this.walls.height = world.rows;
    const ink = this.walls.getContext("2d") as CanvasRenderingContext2D;
    for (let row = 0; row < world.rows; row++) {
      for (let col = 0; col < world.cols; col++) {
        ink.fillStyle = world.isWall(row, col) ? INK.wall : INK.floor;
        ink.fillRect(col, row, 1, 1);
      }
    }
  }

  /** The place on the map under a pixel of the minimap; null outside of it. */
  toMap(camera: Camera, px: number, py: number): [number, number] | null {
    const [x, y, width, height] = this.box(camera);
    if (this.seesAll(camera) || px < x || py < y || px > x + width || py > y + height) return null;
    return [(px - x) / this.scale - 0.5, (py - y) / this.scale - 0.5];
  }

  private seesAll(camera: Camera): boolean {
    const [left, top] = camera.toMap(0, 0);
    const [right, bottom] = camera.toMap(camera.width, camera.height);
    const [firstRow, firstCol, lastRow, lastCol] = this.game.bounds;
    return left <= firstCol && top <= firstRow && right >= lastCol && bottom >= lastRow;
  }

  /** Left, top, width and height in pixels. */
  private box(camera: Camera): [number, number, number, number] {
    const [width, height] = [this.game.world.cols * this.scale, this.game.world.rows * this.scale];
    return [EDGE, camera.height - height - EDGE, width, height];
  }

  /** `place` tells row and column of an agent. */
  draw(ink: CanvasRenderingContext2D, camera: Camera, state: Int32Array, place: (agent: number) => [number, number]): void {
    const { world } = this.game;
    if (this.seesAll(camera)) return;
    const [left, top] = camera.toMap(0, 0);
    const [right, bottom] = camera.toMap(camera.width, camera.height);
    const [x, y, width, height] = this.box(camera);
    ink.save();
    ink.beginPath();
    ink.roundRect(x, y, width, height, 6);
    ink.clip();
    ink.drawImage(this.walls, x, y, width, height);
    const dot = (row: number, col: number, radius: number, colour: string): void => {
      ink.fillStyle = colour;
      ink.beginPath();
      ink.arc(x + (col + 0.5) * this.scale, y + (row + 0.5) * this.scale, radius, 0, 7);
      ink.fill();
    };
    for (const thing of world.things) {
      if (!world.hasArea(thing)) continue;
      const at = [x + (thing.col + 0.5) * this.scale, y + (thing.row + 0.5) * this.scale] as const;
      mark(ink, this.game.ownerOf(world.owner(state, thing.index)), ...at, thing.plain === "hub" ? 4 : 2.4);
    }
    for (let agent = 0; agent < world.agents; agent++) dot(...place(agent), 2.5, gearColour(world.gear(state, agent)));
    ink.strokeStyle = INK.text;
    ink.lineWidth = 1.25;
    ink.strokeRect(x + (left + 0.5) * this.scale, y + (top + 0.5) * this.scale, (right - left) * this.scale, (bottom - top) * this.scale);
    ink.restore();
    ink.strokeStyle = INK.line;
    ink.strokeRect(x, y, width, height);
  }
}
