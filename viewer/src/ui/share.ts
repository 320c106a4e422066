/** Saving what is seen as one HTML file that needs nothing else. */

import { game, live } from "../store";

let page = "";

/** Keep the page as it came, before anything is drawn into it. */
export function keepPage(): void {
  page = `<!doctype html>\n${document.documentElement.outerHTML}`;
}

export async function share(): Promise<void> {
  const name = `${game.value?.world.header.mission ?? "game"}.html`;
  const html = live.value ? await (await fetch("share.html")).text() : page;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([html], { type: "text/html" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
