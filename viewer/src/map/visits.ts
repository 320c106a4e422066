/** How often cogs were in each cell, as colours over the floor. */

import type { Game } from "../game";
import type { Theme } from "../palette";
import { theme } from "../theme";

/** From few visits to many, red, green, blue and opacity: brighter on dark ground, darker on light ground. */
const RAMPS: Record<Theme, readonly (readonly [number, number, number, number])[]> = {
  dark: [
    [74, 38, 140, 110],
    [196, 52, 96, 165],
    [250, 150, 60, 200],
    [255, 240, 170, 225],
  ],
  light: [
    [255, 214, 120, 110],
    [248, 140, 60, 165],
    [196, 52, 96, 205],
    [64, 22, 110, 230],
  ],
};

export class Visits {
  /** A pixel for each cell. */
  readonly canvas = document.createElement("canvas");
  private readonly ink: CanvasRenderingContext2D;
  private readonly counts: Uint32Array;
  private next = 0; // step that is not counted yet
  private agent: number | null = null;
  private ground: Theme = theme.value;
  private brightest = 2; // visits, a power of two

  constructor(private readonly game: Game) {
    const { rows, cols } = game.world;
    this.counts = new Uint32Array(rows * cols);
    this.canvas.width = cols;
    this.canvas.height = rows;
    this.ink = this.canvas.getContext("2d") as CanvasRenderingContext2D;
  }

  /** Count the steps up to `step`, of one agent or all. */
  update(step: number, agent: number | null): HTMLCanvasElement {
    if (step < this.next - 1 || agent !== this.agent || theme.value !== this.ground) this.clear();
    [this.agent, this.ground] = [agent, theme.value];
    const { brightest } = this;
    const changed = new Set<number>();
    for (; this.next <= step; this.next++) {
      const cells = this.game.history.cells[this.next] ?? [];
      for (const cell of agent === null ? cells : [cells[agent] ?? 0]) {
        const count = (this.counts[cell] ?? 0) + 1;
        this.counts[cell] = count;
        while (count > this.brightest) this.brightest *= 2;
        changed.add(cell);
      }
    }
    if (this.brightest === brightest) changed.forEach((cell) => this.paint(cell));
    else this.counts.forEach((count, cell) => count && this.paint(cell));
    return this.canvas;
  }

  private clear(): void {
    this.counts.fill(0);
    this.ink.clearRect(0, 0, this.canvas.width, this.canvas.height);
    [this.next, this.brightest] = [0, 2];
  }

  private paint(cell: number): void {
    const share = Math.log2(this.counts[cell] ?? 1) / Math.log2(this.brightest);
    const ramp = RAMPS[this.ground];
    const at = share * (ramp.length - 1);
    const [low, high] = [ramp[Math.floor(at)] ?? [], ramp[Math.ceil(at)] ?? []];
    const [r, g, b, a] = low.map((value, k) => Math.round(value + ((high[k] ?? 0) - value) * (at % 1)));
    const [x, y] = [cell % this.game.world.cols, Math.floor(cell / this.game.world.cols)];
    this.ink.clearRect(x, y, 1, 1);
    this.ink.fillStyle = `rgba(${r}, ${g}, ${b}, ${(a ?? 0) / 255})`;
    this.ink.fillRect(x, y, 1, 1);
  }
}
