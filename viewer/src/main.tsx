import { render } from "preact";
import { letGo } from "./focus";
import { keepLink } from "./link";
import { bytesOf } from "./live";
import { openAddress, openOwn, takeDrops, watch } from "./open";
import { looksOf } from "./palette";
import { game, growing, last, playing, seek, step } from "./store";
import "./style.css";
import "./watch.css";
import { startTheme } from "./theme";
import { App } from "./ui/App";
import { measured } from "./ui/Stage";
import { keepPage } from "./ui/share";

/** What the server or the file put into the page: a replay, or word that a game is played. */
type Source = null | { replay: string } | { live: true };

async function start(): Promise<void> {
  keepPage();
  takeDrops();
  keepLink();
  startTheme();
  addEventListener("click", letGo);
  const source = JSON.parse(document.getElementById("source")?.textContent ?? "null") as Source;
  const address = new URLSearchParams(location.search).get("replay");
  render(<App waiting={source !== null || address !== null} />, document.getElementById("app") as HTMLElement);
  if (source && "live" in source) watch();
  else if (source) await openOwn(bytesOf(source.replay));
  else if (address) await openAddress(address);
  document.documentElement.dataset["ready"] = String(Math.round(performance.now()));
}

// For scripts that test the page.
Object.assign(window, { viewer: { game, step, last, playing, growing, seek, measured, looksOf } });
void start();
