/** The window of cells that a cog sees, drawn as on the map. */

import { useEffect, useRef } from "preact/hooks";
import { Col, GONE } from "../header";
import { Sprites } from "../map/sprites";
import { game, state } from "../store";
import { INK } from "../theme";

interface Cell {
  dr: number;
  dc: number;
}

const SIDE = 308;
const sprites = new Sprites();
const WAYS: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export function Sight({ agent, chosen, choose }: { agent: number; chosen: Cell | null; choose: (cell: Cell) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const window = game.value?.world.header.sight.window ?? 11;
  useEffect(() => {
    if (canvas.current) draw(canvas.current, agent, chosen, window);
  });
  const pick = (event: MouseEvent): void => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const index = (at: number, size: number): number => Math.min(window - 1, Math.floor((at / size) * window)) - (window - 1) / 2;
    choose({ dr: index(event.clientY - box.top, box.height), dc: index(event.clientX - box.left, box.width) });
  };
  const half = (window - 1) / 2;
  const walk = (event: KeyboardEvent): void => {
    const way = WAYS[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation(); // it moves the cell, not the game
    const within = (at: number): number => Math.max(-half, Math.min(half, at));
    choose({ dr: within((chosen?.dr ?? 0) + way[0]), dc: within((chosen?.dc ?? 0) + way[1]) });
  };
  return (
    <canvas
      class="sight"
      ref={canvas}
      width={2 * SIDE}
      height={2 * SIDE}
      tabIndex={0}
      role="application"
      aria-label={`what cog ${agent} sees; arrow keys choose a cell, the list below has its tokens`}
      title="click a cell for its tokens"
      onClick={pick}
      onKeyDown={walk}
    />
  );
}

function draw(canvas: HTMLCanvasElement, agent: number, chosen: Cell | null, window: number): void {
  const now = game.value;
  const numbers = state.value;
  if (!now || !numbers) return;
  const { world } = now;
  const ink = canvas.getContext("2d") as CanvasRenderingContext2D;
  const size = canvas.width / window;
  const half = (window - 1) / 2;
  const [row, col] = [world.agent(numbers, agent, Col.Row), world.agent(numbers, agent, Col.Column)];
  ink.fillStyle = INK.void;
  ink.fillRect(0, 0, canvas.width, canvas.height);
  for (let dr = -half; dr <= half; dr++) {
    for (let dc = -half; dc <= half; dc++) {
      const outside = world.header.map[row + dr]?.[col + dc] === undefined;
      ink.fillStyle = outside ? INK.void : world.isWall(row + dr, col + dc) ? INK.wall : INK.floor;
      ink.fillRect((dc + half) * size + 0.5, (dr + half) * size + 0.5, size - 1, size - 1);
    }
  }
  sprites.setSize(Math.round(size * 0.86));
  const stamp = (sprite: HTMLCanvasElement, r: number, c: number): void => {
    const [x, y] = [(c - col + half + 0.5) * size, (r - row + half + 0.5) * size];
    if (Math.abs(r - row) <= half && Math.abs(c - col) <= half) ink.drawImage(sprite, x - sprite.width / 2, y - sprite.height / 2);
  };
  for (const thing of world.things) {
    const owner = world.owner(numbers, thing.index);
    if (owner === GONE) continue;
    const level = Math.min(1, world.stock(numbers, thing.index) / Math.max(1, now.full[thing.index] ?? 1));
    stamp(sprites.thing(thing, now.ownerOf(owner), level), thing.row, thing.col);
  }
  for (let a = 0; a < world.agents; a++) {
    const sprite = sprites.cog(world.gear(numbers, a), now.teamMark(a), world.held(numbers, a, "hp") > 0, String(a));
    stamp(sprite, world.agent(numbers, a, Col.Row), world.agent(numbers, a, Col.Column));
  }
  if (chosen) {
    ink.strokeStyle = INK.accent;
    ink.lineWidth = 3;
    ink.strokeRect((chosen.dc + half) * size + 1.5, (chosen.dr + half) * size + 1.5, size - 3, size - 3);
  }
}
