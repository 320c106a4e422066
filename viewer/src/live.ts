/** The line to a game that is being played: steps come in as they happen, wishes go out. */

import { signal } from "@preact/signals";
import { Recording } from "./recording";

export interface Wish {
  playing?: boolean;
  step?: boolean;
  speed?: number;
  agent?: number | null;
  action?: number;
  /** For the controls, which one page holds at a time. */
  ask?: boolean;
  give?: boolean;
}

interface News {
  /** Number of this page, with the header and all that was played before. */
  watcher?: number;
  header?: string;
  state?: string;
  deltas: string[];
  values: boolean;
  playing: boolean;
  speed: number;
  holds: boolean;
  asked: boolean;
  asking: boolean;
  ended: boolean;
  error: string;
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export class Live {
  readonly ended = signal(false);
  /** Whether the server does not answer. */
  readonly lost = signal(false);
  /** Whether this page holds the controls, is asked for them, or has asked. */
  readonly holds = signal(false);
  readonly asked = signal(false);
  readonly asking = signal(false);
  private readonly source = new EventSource("events");
  private recording: Recording | null = null;
  private watcher: number | undefined;
  private queue: Promise<unknown> = Promise.resolve();

  /** `onStart` gets the recording as it is when the page comes, `onNews` is called after each message. */
  constructor(
    private readonly onStart: (recording: Recording) => void,
    private readonly onNews: (news: News) => void,
  ) {
    this.source.onerror = () => {
      this.lost.value = !this.ended.value;
      if (this.ended.value) this.source.close();
    };
    this.source.onmessage = (message) => this.hear(JSON.parse(message.data as string) as News);
    addEventListener("pagehide", () => this.close());
  }

  /** Leave the game: others may hold the controls at once. */
  close(): void {
    this.source.close();
    if (!this.ended.value) void this.post({ leave: true }).catch(() => undefined);
  }

  /** Tell the game a wish; wishes arrive in the order in which they were sent. */
  send(wish: Wish): void {
    if (this.ended.value || this.lost.value) return;
    this.queue = this.queue.then(() => this.post(wish)).catch(() => (this.lost.value = true));
  }

  private hear(news: News): void {
    this.lost.value = false;
    this.watcher = news.watcher ?? this.watcher;
    const known = news.header ? (this.recording?.last ?? 0) : 0; // after a break all is told again
    const begins = !this.recording;
    if (begins && news.header && news.state) this.recording = Recording.begin(news.header, bytesOf(news.state));
    const { recording } = this;
    if (!recording) return;
    for (const delta of news.deltas.slice(known)) recording.append(bytesOf(delta));
    recording.header.values ||= news.values;
    [this.holds.value, this.asked.value, this.asking.value] = [news.holds, news.asked, news.asking];
    if (news.ended) {
      this.ended.value = true;
      this.source.close();
    }
    if (begins) this.onStart(recording);
    this.onNews(news);
  }

  private post(wish: Wish & { leave?: boolean }): Promise<unknown> {
    const body = JSON.stringify({ ...wish, watcher: this.watcher });
    return fetch("wish", { method: "POST", headers: { "Content-Type": "application/json" }, body, keepalive: true });
  }
}
