import { batch } from "@preact/signals";
import { render } from "preact";
import { Game } from "./game";
import { Live, bytesOf } from "./live";
import { looksOf } from "./palette";
import { Recording } from "./recording";
import { controlled, failure, game, last, live, playing, seek, setPlaying, speed, step } from "./store";
import "./style.css";
import { letGo } from "./focus";
import { startTheme } from "./theme";
import { App } from "./ui/App";
import { measured } from "./ui/Stage";
import { keepPage } from "./ui/share";

/** What the server or the file put into the page: a replay, or word that a game is played. */
type Source = null | { replay: string } | { live: true };

function show(recording: Recording): void {
  const opened = new Game(recording);
  batch(() => {
    document.title = `${recording.header.mission} · CoGsGuard`;
    game.value = opened;
    last.value = recording.last;
    failure.value = "";
    seek(0);
  });
}

async function open(bytes: Uint8Array): Promise<void> {
  try {
    show(await Recording.read(bytes));
  } catch (error) {
    failure.value = `The replay cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function watch(): void {
  live.value = new Live(
    (recording) => show(recording),
    (news) => {
      const now = game.value;
      if (!now) return;
      const wasAtEdge = step.value >= last.value - 1;
      batch(() => {
        now.history.catchUp();
        last.value = now.recording.last;
        if (news.playing !== undefined) playing.value = news.playing;
        if (news.speed !== undefined) speed.value = news.speed;
        if (news.ended) controlled.value = null;
        if (news.error) failure.value = news.error;
        if (!playing.value && wasAtEdge) seek(last.value);
      });
    },
  );
}

async function start(): Promise<void> {
  keepPage();
  startTheme();
  addEventListener("click", letGo);
  const source = JSON.parse(document.getElementById("source")?.textContent ?? "null") as Source;
  render(<App open={open} />, document.getElementById("app") as HTMLElement);
  if (source && "live" in source) watch();
  else if (source) {
    await open(bytesOf(source.replay));
    if (game.value) setPlaying(true);
  }
  document.documentElement.dataset["ready"] = String(Math.round(performance.now()));
}

// For scripts that test the page.
Object.assign(window, { viewer: { game, step, last, playing, seek, measured, looksOf } });
void start();
