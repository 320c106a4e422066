/** Two fingers on the map: they zoom and move it. Meanwhile the canvas hears nothing of them but that its press is off. */

import type { Camera } from "./camera";

type Point = [number, number];

/** Returns how to stop. To be called before other listeners are added. */
export function listenToPinch(canvas: HTMLCanvasElement, camera: Camera, begun: () => void): () => void {
  const fingers = new Map<number, Point>();
  let pinching = false;

  const at = (event: PointerEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const span = (): { middle: Point; length: number } => {
    const [[ax, ay], [bx, by]] = [...fingers.values()] as [Point, Point];
    return { middle: [(ax + bx) / 2, (ay + by) / 2], length: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  };
  const listener = (event: Event): void => {
    if (!(event instanceof PointerEvent) || event.pointerType !== "touch" || !event.isTrusted) return;
    if (event.type === "pointerdown") fingers.set(event.pointerId, at(event));
    if (fingers.size === 2 && event.type === "pointerdown") {
      pinching = true;
      canvas.dispatchEvent(new PointerEvent("pointercancel"));
      begun();
    }
    if (pinching) event.stopImmediatePropagation();
    if (event.type === "pointermove" && fingers.has(event.pointerId)) {
      const before = fingers.size === 2 ? span() : null;
      fingers.set(event.pointerId, at(event));
      if (before) {
        const { middle, length } = span();
        camera.panBy(middle[0] - before.middle[0], middle[1] - before.middle[1]);
        camera.zoomAt(length / before.length, ...middle);
      }
    }
    if (event.type === "pointerup" || event.type === "pointercancel") fingers.delete(event.pointerId);
    if (fingers.size === 0) pinching = false;
  };
  const kinds = ["pointerdown", "pointermove", "pointerup", "pointercancel"];
  for (const kind of kinds) canvas.addEventListener(kind, listener);
  return () => kinds.forEach((kind) => canvas.removeEventListener(kind, listener));
}
