/** Which keys belong to what has the focus, and are not the viewer's. */

const PRESSED = new Set([" ", "Enter"]);

/** Whether the focused element does something of its own with the key. */
export function isTaken(event: KeyboardEvent): boolean {
  const { target, key } = event;
  if (document.querySelector("dialog[open]")) return true;
  if (target instanceof HTMLSelectElement || target instanceof HTMLInputElement) return true;
  return (target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement) && PRESSED.has(key);
}

/** After a click with the mouse the keys are the viewer's again; who presses a button by key stays on it. */
export function letGo(event: MouseEvent): void {
  if (event.detail > 0 && event.target instanceof Element) event.target.closest("button")?.blur();
}
