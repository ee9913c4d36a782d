// Listens for updates and answers, connects again when the line breaks, and catches up.
//
// `mark` counts this visitor's answers. The page knows the mark it was drawn at, each answer brings
// a new one, and a stream begins by telling the present one: if they differ, something was missed.

import { data, say, showBanner } from "./page.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const SILENCE_MS = 40_000; // the studio gives a sign of life every 15 s
const PATIENCE_MS = 2_000; // a short break needs no banner

export function listen(conversation) {
  new Stream(conversation).open();
}

class Stream {
  constructor(conversation) {
    this.conversation = conversation;
    this.mark = data.mark;
    this.pause = FIRST_PAUSE_MS;
    this.source = null;
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("online", () => this.open());
    addEventListener("pagehide", () => this.shut());
    addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
  }

  open() {
    this.shut();
    this.source = new EventSource("/api/events");
    this.source.addEventListener("hello", (event) => this.hello(JSON.parse(event.data)));
    this.source.addEventListener("alive", () => this.heard());
    this.source.addEventListener("update", (event) => {
      this.heard();
      this.conversation.update(JSON.parse(event.data));
    });
    this.source.addEventListener("answer", (event) => {
      this.heard();
      const answer = JSON.parse(event.data);
      this.mark = answer.mark;
      this.conversation.answered(answer);
    });
    // Opened anew by hand rather than by the browser, which gives up on some errors for good.
    this.source.onerror = () => this.lost();
    this.heard();
  }

  shut() {
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  async hello({ mark }) {
    this.heard();
    this.pause = FIRST_PAUSE_MS;
    clearTimeout(this.patience);
    this.patience = null;
    showBanner("");
    if (mark === this.mark) return;
    try {
      this.mark = await this.conversation.refresh();
    } catch {
      this.lost();
    }
  }

  heard() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost(), SILENCE_MS);
  }

  lost() {
    this.shut();
    this.patience ??= setTimeout(() => showBanner(say("lost")), PATIENCE_MS);
    this.retry = setTimeout(() => this.open(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  // Browsers allow six connections to a host: tabs that nobody looks at and that wait for nothing
  // give theirs back, and catch up when they are looked at again.
  look() {
    if (document.hidden && !this.conversation.waiting) this.shut();
    else if (!document.hidden && !this.source) this.open();
  }
}
