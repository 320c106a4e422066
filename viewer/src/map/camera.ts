/** Which part of the map is seen: pan, zoom and following, in cells and CSS pixels. */

const LEAST = 0.5; // pixels of a cell: the largest map fits a phone
const MOST = 96;
const EASE = 0.18;

export class Camera {
  x = 0;
  y = 0;
  zoom = 16;
  width = 1;
  height = 1;
  private goal: { x: number; y: number; zoom: number } | null = null;

  /** Show a box of cells whole. */
  fit(top: number, left: number, bottom: number, right: number): void {
    const zoom = Math.min(this.width / (right - left + 1), this.height / (bottom - top + 1));
    this.zoom = clampZoom(zoom);
    this.x = (left + right) / 2;
    this.y = (top + bottom) / 2;
    this.goal = null;
  }

  panBy(dx: number, dy: number): void {
    this.x -= dx / this.zoom;
    this.y -= dy / this.zoom;
    this.goal = null;
  }

  /** Zoom by a factor so that the cell under a pixel stays there. */
  zoomAt(factor: number, px: number, py: number): void {
    const [x, y] = this.toMap(px, py);
    this.zoom = clampZoom(this.zoom * factor);
    const [nx, ny] = this.toMap(px, py);
    this.x += x - nx;
    this.y += y - ny;
    this.goal = null;
  }

  /** Glide towards a place; at least `zoom` close. */
  seek(x: number, y: number, zoom = this.goal?.zoom ?? this.zoom): void {
    this.goal = { x, y, zoom: Math.max(zoom, this.goal?.zoom ?? this.zoom) };
  }

  /** Move on by one frame. Returns whether anything moved. */
  glide(): boolean {
    const { goal } = this;
    if (!goal) return false;
    const [dx, dy, dz] = [goal.x - this.x, goal.y - this.y, goal.zoom - this.zoom];
    if (Math.abs(dx) + Math.abs(dy) < 0.005 && Math.abs(dz) < 0.01) {
      this.goal = null;
      return false;
    }
    this.x += dx * EASE;
    this.y += dy * EASE;
    this.zoom += dz * EASE;
    return true;
  }

  /** Pixel to map position, whole numbers at the centres of cells. */
  toMap(px: number, py: number): [number, number] {
    return [(px - this.width / 2) / this.zoom + this.x, (py - this.height / 2) / this.zoom + this.y];
  }

  toPixel(col: number, row: number): [number, number] {
    return [(col - this.x) * this.zoom + this.width / 2, (row - this.y) * this.zoom + this.height / 2];
  }
}

const clampZoom = (zoom: number): number => Math.max(LEAST, Math.min(MOST, zoom));
