/** The line to a game that is being played: steps come in as they happen, wishes go out. */

import { signal } from "@preact/signals";
import type { Header } from "./header";
import { Recording } from "./recording";

export interface Wish {
  playing?: boolean;
  step?: boolean;
  speed?: number;
  agent?: number | null;
  action?: number;
}

interface News {
  header?: Header;
  state?: string;
  deltas?: string[];
  values?: boolean;
  playing?: boolean;
  speed?: number;
  ended?: boolean;
  error?: string;
}

export const bytesOf = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export class Live {
  readonly ended = signal(false);
  readonly lost = signal(false);
  private recording: Recording | null = null;
  private queue: Promise<unknown> = Promise.resolve();

  /** `onStart` gets the recording once the first state is there, `onNews` is called after each message. */
  constructor(
    onStart: (recording: Recording) => void,
    onNews: (news: News) => void,
  ) {
    const source = new EventSource("events");
    source.onopen = () => (this.lost.value = false);
    source.onerror = () => {
      this.lost.value = !this.ended.value;
      if (this.ended.value) source.close();
    };
    source.onmessage = (message) => {
      const news = JSON.parse(message.data as string) as News;
      if (news.header && news.state) {
        if (this.recording) return location.reload(); // another game
        this.recording = Recording.begin(news.header, bytesOf(news.state));
        onStart(this.recording);
      }
      for (const delta of news.deltas ?? []) this.recording?.append(bytesOf(delta));
      if (this.recording && news.values) this.recording.header.values = true;
      if (news.ended) {
        this.ended.value = true;
        source.close();
      }
      onNews(news);
    };
  }

  /** Tell the game a wish; wishes arrive in the order in which they were sent. */
  send(wish: Wish): void {
    if (this.ended.value) return;
    this.queue = this.queue
      .then(() =>
        fetch("wish", {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify(wish),
        }),
      )
      .catch(() => (this.lost.value = true));
  }
}
