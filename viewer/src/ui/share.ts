/** Saving what is seen as one HTML file that needs nothing else. */

import { writeReplay } from "../replay_file";
import { game } from "../store";

const SLOT = /(<script id="source" type="application\/json">)[^<]*(<\/script>)/;
let page = "";

/** Keep the page as it came, before anything is drawn into it. */
export function keepPage(): void {
  page = `<!doctype html>\n${document.documentElement.outerHTML}`;
}

export async function share(): Promise<void> {
  const now = game.value;
  if (!now) return;
  const replay = base64(await writeReplay(now.recording));
  const html = page.replace(SLOT, (_, before: string, after: string) => `${before}${JSON.stringify({ replay })}${after}`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  link.download = `${now.world.header.mission}.html`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
