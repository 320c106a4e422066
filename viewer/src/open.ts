/** Opening replays: those of the page, of a file that is chosen or dropped, of an address; and games that are played. */

import { batch } from "@preact/signals";
import { Game } from "./game";
import { linkedStep } from "./link";
import { Live } from "./live";
import type { Recording } from "./recording";
import { MOST_BYTES, readReplay, tooLarge } from "./replay_file";
import { controlled, failure, game, inspected, last, live, order, playing, seek, selected, setPlaying, speed, step } from "./store";

function show(recording: Recording, at: number): void {
  const opened = new Game(recording);
  batch(() => {
    document.title = `${recording.header.mission} · CoGsGuard`;
    [selected.value, inspected.value, controlled.value, order.value] = [null, null, null, null];
    game.value = opened;
    last.value = recording.last;
    failure.value = "";
    seek(at);
  });
}

/** Show a replay: the step `at`, or all of it played by itself. */
async function open(bytes: Promise<Uint8Array>, at: number | null = null): Promise<void> {
  try {
    const recording = await readReplay(await bytes);
    batch(() => {
      live.value?.close();
      live.value = null;
      show(recording, at ?? 0);
      setPlaying(at === null);
    });
  } catch (error) {
    failure.value = `The replay cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The replay that the page brought along. */
export const openOwn = (bytes: Uint8Array): Promise<void> => open(Promise.resolve(bytes), linkedStep());

export const openFile = (file: File): Promise<void> => open(readFile(file));

/** A file that lies where the page comes from: browsers read no others. */
export const openAddress = (address: string): Promise<void> => open(fetchFile(address), linkedStep());

async function readFile(file: File): Promise<Uint8Array> {
  if (file.size > MOST_BYTES) throw new Error(tooLarge());
  return new Uint8Array(await file.arrayBuffer());
}

async function fetchFile(address: string): Promise<Uint8Array> {
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) throw new Error(`${address}: ${answer ? answer.statusText || answer.status : "cannot be read from here"}`);
  if (Number(answer.headers.get("Content-Length") ?? 0) > MOST_BYTES) throw new Error(tooLarge());
  return new Uint8Array(await answer.arrayBuffer());
}

/** Follow the game of the server that the page came from. */
export function watch(): void {
  live.value = new Live(
    (recording) => show(recording, recording.last),
    (news) => {
      const now = game.value;
      if (!now) return;
      const wasAtEdge = step.value >= last.value - 1;
      batch(() => {
        now.history.catchUp();
        last.value = now.recording.last;
        [playing.value, speed.value] = [news.playing, news.speed];
        failure.value = news.error;
        if (!playing.value && wasAtEdge) seek(last.value);
      });
    },
  );
}

/** Take replay files that are dropped anywhere on the page. */
export function takeDrops(): void {
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) void openFile(file);
  });
}
