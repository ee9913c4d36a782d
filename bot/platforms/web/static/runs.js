// The training page: asks how the runs are every few seconds, and draws what has changed.

import { say, showBanner } from "./page.js";

const EVERY_MS = 3000;

export function startRuns() {
  const place = document.querySelector("[data-runs]");
  if (place) new Runs(place).wait();
}

class Runs {
  constructor(place) {
    this.place = place;
    this.drawn = new Map(); // key -> the fragment as the studio sent it
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.ask(); });
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), EVERY_MS);
  }

  async ask() {
    clearTimeout(this.timer);
    if (document.hidden) return; // asked again when somebody looks
    try {
      const response = await fetch("/api/runs", { credentials: "same-origin" });
      if (!response.ok) throw new Error(String(response.status));
      this.draw((await response.json()).runs);
      showBanner("");
    } catch {
      showBanner(say("lost"));
    }
    this.wait();
  }

  draw(runs) {
    const known = new Map([...this.place.children].map((run) => [run.dataset.key, run]));
    runs.forEach(({ key, html }, index) => {
      let run = known.get(key);
      if (!run || this.drawn.get(key) !== html) run = this.replace(run, html);
      this.drawn.set(key, html);
      known.delete(key);
      if (this.place.children[index] !== run) this.place.insertBefore(run, this.place.children[index] ?? null);
    });
    known.forEach((run) => run.remove());
    document.querySelector("[data-no-runs]").hidden = runs.length > 0;
  }

  // What one has opened stays open, what plays goes on, and the focus stays where it was.
  replace(old, html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const fresh = holder.content.querySelector("article");
    if (!old) return fresh;
    if ([...old.querySelectorAll("audio")].some((sound) => !sound.paused)) return old;
    const focused = place(old, document.activeElement);
    const open = old.querySelector("details")?.open;
    old.replaceWith(fresh);
    if (open) fresh.querySelector("details")?.setAttribute("open", "");
    if (focused >= 0) controls(fresh)[focused]?.focus();
    return fresh;
  }
}

function controls(run) {
  return [...run.querySelectorAll("a, summary, [tabindex], audio")];
}

function place(run, element) {
  return controls(run).indexOf(element);
}
