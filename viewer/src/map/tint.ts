/** The areas: tinted floor with an outline for each collective, stripes where several overlap. */

import type { Areas, Box } from "../areas";
import { fade } from "../theme";

const MOST_PIXELS = 1400; // of a side of the picture
const TINT = 0.13;
const OUTLINE = 0.5;

export class Tint {
  /** Counts the changes. */
  version = 0;
  readonly canvas = document.createElement("canvas");
  private readonly ink: CanvasRenderingContext2D;
  private readonly size: number; // pixels of a cell
  private readonly stripes = new Map<string, CanvasPattern>();

  constructor(
    private readonly areas: Areas,
    private readonly colours: string[],
  ) {
    const { rows, cols } = areas.world;
    this.size = Math.max(6, Math.min(24, Math.floor(MOST_PIXELS / Math.max(rows, cols))));
    this.canvas.width = cols * this.size;
    this.canvas.height = rows * this.size;
    this.ink = this.canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  /** Bring the picture up to date: only cells around junctions that changed hands are painted anew. */
  update(state: Int32Array): void {
    const box = this.areas.update(state);
    if (!box) return;
    this.version++;
    const { size, ink, areas } = this;
    ink.clearRect(box.left * size, box.top * size, (box.right - box.left) * size, (box.bottom - box.top) * size);
    areas.cover.forEach((_, collective) => this.paint(collective, box));
  }

  private paint(collective: number, box: Box): void {
    const { areas, ink, size } = this;
    const { rows, cols } = areas.world;
    const inside = (r: number, c: number): boolean => r < 0 || c < 0 || r >= rows || c >= cols || areas.covers(collective, r, c);
    const colour = this.colours[collective] as string;
    const line = Math.max(1, size / 14);
    const edge = new Path2D();
    for (let row = box.top; row < box.bottom; row++) {
      for (let col = box.left; col < box.right; col++) {
        if (!areas.covers(collective, row, col)) continue;
        const [x, y] = [col * size, row * size];
        ink.fillStyle = this.fill(collective, colour, row, col);
        ink.fillRect(x, y, size, size);
        if (!inside(row - 1, col)) edge.rect(x, y, size, line);
        if (!inside(row + 1, col)) edge.rect(x, y + size - line, size, line);
        if (!inside(row, col - 1)) edge.rect(x, y, line, size);
        if (!inside(row, col + 1)) edge.rect(x + size - line, y, line, size);
      }
    }
    ink.fillStyle = fade(colour, OUTLINE);
    ink.fill(edge);
  }

  /** Plain where the collective is alone, else its turn among the stripes. */
  private fill(collective: number, colour: string, row: number, col: number): string | CanvasPattern {
    const here = this.areas.cover.map((_, each) => each).filter((each) => this.areas.covers(each, row, col));
    if (here.length === 1) return fade(colour, TINT);
    const turn = here.indexOf(collective);
    const key = `${colour} ${here.length} ${turn}`;
    let pattern = this.stripes.get(key);
    if (!pattern) this.stripes.set(key, (pattern = this.striped(fade(colour, TINT), here.length, turn)));
    return pattern;
  }

  /** Diagonal stripes, a cell wide: the `turn`-th of `count`. */
  private striped(colour: string, count: number, turn: number): CanvasPattern {
    const { size } = this;
    const tile = document.createElement("canvas");
    tile.width = tile.height = size;
    const dots = tile.getContext("2d") as CanvasRenderingContext2D;
    dots.fillStyle = colour;
    for (let x = 0; x < size; x++) {
      for (let y = 0; y < size; y++) {
        if (Math.floor((((x + y) % size) * count) / size) === turn) dots.fillRect(x, y, 1, 1);
      }
    }
    return this.ink.createPattern(tile, "repeat") as CanvasPattern;
  }
}
