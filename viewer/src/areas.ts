/** Which cells the areas of hubs and junctions cover (rules of areas: Euclidean radius, walls do not matter). */

import type { World } from "./world";

/** Cells from top left up to, without, bottom right. */
export interface Box {
  top: number;
  left: number;
  bottom: number;
  right: number;
}

export class Areas {
  /** By collective: number of areas over each cell, row by row. */
  readonly cover: Uint8Array[];
  private owners: number[] = [];

  constructor(readonly world: World) {
    this.cover = world.header.collectives.map(() => new Uint8Array(world.rows * world.cols));
  }

  /** Bring the cover up to date. Returns the box of cells around all that has changed. */
  update(state: Int32Array): Box | null {
    const { world } = this;
    const reach = world.header.radius + 1;
    let box: Box | null = null;
    for (const thing of world.things) {
      if (!world.hasArea(thing)) continue;
      const owner = world.owner(state, thing.index);
      const was = this.owners[thing.index] ?? -1;
      if (owner === was) continue;
      if (was >= 0) this.paint(thing.row, thing.col, was, -1);
      if (owner >= 0) this.paint(thing.row, thing.col, owner, 1);
      this.owners[thing.index] = owner;
      const { row, col } = thing;
      box ??= { top: row, left: col, bottom: row, right: col };
      box.top = Math.max(0, Math.min(box.top, row - reach));
      box.left = Math.max(0, Math.min(box.left, col - reach));
      box.bottom = Math.min(world.rows, Math.max(box.bottom, row + reach + 1));
      box.right = Math.min(world.cols, Math.max(box.right, col + reach + 1));
    }
    return box;
  }

  covers(collective: number, row: number, col: number): boolean {
    return (this.cover[collective]?.[row * this.world.cols + col] ?? 0) > 0;
  }

  private paint(row: number, col: number, collective: number, change: number): void {
    const { rows, cols, header } = this.world;
    const cover = this.cover[collective] as Uint8Array;
    const radius = header.radius;
    for (let r = Math.max(0, row - radius); r < Math.min(rows, row + radius + 1); r++) {
      for (let c = Math.max(0, col - radius); c < Math.min(cols, col + radius + 1); c++) {
        if ((r - row) ** 2 + (c - col) ** 2 > radius * radius) continue;
        cover[r * cols + c] = (cover[r * cols + c] as number) + change;
      }
    }
  }
}
