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
  /** Whether all is seen, and is to be seen when the size changes. */
  fitted = true;
  private least = LEAST;
  private goal: { x: number; y: number; zoom: number } | null = null;

  /** `bounds` are the cells that there are to see: top, left, bottom, right. */
  constructor(private readonly bounds: readonly [number, number, number, number]) {}

  /** Take a new size: all of the map stays in view where it was. */
  resize(width: number, height: number): void {
    [this.width, this.height] = [width, height];
    if (this.fitted) this.fit();
  }

  /** Show the map whole. */
  fit(): void {
    const [top, left, bottom, right] = this.bounds;
    const zoom = Math.min(MOST, this.width / (right - left + 1), this.height / (bottom - top + 1));
    this.least = Math.min(LEAST, zoom);
    [this.x, this.y, this.zoom] = [(left + right) / 2, (top + bottom) / 2, zoom];
    this.goal = null;
    this.fitted = true;
  }

  panBy(dx: number, dy: number): void {
    this.moveTo(this.x - dx / this.zoom, this.y - dy / this.zoom);
  }

  /** Look at a place; the map's edge can be brought to the middle and no farther. */
  moveTo(x: number, y: number): void {
    const [top, left, bottom, right] = this.bounds;
    this.x = Math.max(left, Math.min(right, x));
    this.y = Math.max(top, Math.min(bottom, y));
    this.goal = null;
    this.fitted = false;
  }

  /** Zoom by a factor so that the cell under a pixel stays there. */
  zoomAt(factor: number, px: number, py: number): void {
    const [x, y] = this.toMap(px, py);
    this.zoom = Math.max(this.least, Math.min(MOST, this.zoom * factor));
    const [nx, ny] = this.toMap(px, py);
    this.moveTo(this.x + x - nx, this.y + y - ny);
  }

  /** Glide towards a place; at least `zoom` close. */
  seek(x: number, y: number, zoom = this.goal?.zoom ?? this.zoom): void {
    this.goal = { x, y, zoom: Math.max(zoom, this.goal?.zoom ?? this.zoom) };
    this.fitted = false;
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
