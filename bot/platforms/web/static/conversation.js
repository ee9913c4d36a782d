// The conversation: turns are added, replaced, updated, each known by its key, so that the same
// answer never shows twice however it arrives.

import { StudioError, fetchTurn, fetchTurns, invoke } from "./api.js";
import { openDialog } from "./dialogs.js";
import { announce, note, say, showQuota } from "./page.js";

const SURE_MS = 4000;

export function startConversation() {
  const place = document.querySelector("[data-conversation]");
  if (!place) return null;
  const conversation = new Conversation(place);
  conversation.toEnd();
  return conversation;
}

class Conversation {
  constructor(place) {
    this.place = place;
    this.inStudio = document.body.classList.contains("is-studio");
    this.fetching = new Set();
    this.title = document.title; // marked when an answer comes while nobody looks
    document.addEventListener("visibilitychange", () => { document.title = this.title; });
    place.addEventListener("click", (event) => {
      const button = event.target.closest("[data-action]");
      if (button) this.press(button);
    });
  }

  turn(key) {
    return this.place.querySelector(`:scope > [data-key="${CSS.escape(key)}"]`);
  }

  /** Whether some job's answer is still to come. */
  get waiting() {
    return this.place.querySelector("[data-waiting]") !== null;
  }

  /** Send a typed line, with pictures by option. Returns the reply, null if it did not arrive. */
  async ask(line, pictures = {}) {
    const draft = this.draft(line);
    try {
      const reply = await invoke({ line, pictures });
      this.show(reply, draft);
      return reply;
    } catch (error) {
      draft.remove();
      this.welcome();
      this.failed(error);
      return null;
    }
  }

  /** Send a filled form; throws if it did not arrive. */
  async submit(what) {
    this.show(await invoke(what));
  }

  async press(button) {
    if (button.ariaDisabled === "true") return;
    if (button.dataset.action.startsWith("delete:") && !sure(button)) return;
    button.ariaDisabled = "true"; // not `disabled`, which would take the focus away
    try {
      const reply = await invoke({ action: button.dataset.action, compact: !this.inStudio });
      this.show(reply, null, button.closest("[data-key]"));
    } catch (error) {
      this.failed(error);
    } finally {
      button.ariaDisabled = null;
    }
  }

  /** Show what an invocation brought: `from` is the turn or card whose button was pressed. */
  show(reply, draft = null, from = null) {
    showQuota(reply.quota);
    if (reply.placement !== "append") draft?.remove();
    if (reply.placement === "form") openDialog(reply.html, (what) => this.submit(what));
    else if (reply.placement === "remove") this.remove(from, reply.text);
    else if (reply.placement === "note") note(reply.text, { error: reply.error });
    else if (reply.placement === "replace") this.replace(reply, from);
    else if (!this.inStudio && reply.placement === "append") {
      note(say("queued"), { link: { href: "/", text: say("go") } });
    } else {
      this.put(reply, { draft });
      if (reply.placement === "append") this.toEnd();
      if (reply.text) announce(reply.text);
    }
  }

  // A job may be seen in several places: its turn, shown again further down, a card in a list.
  replace(reply, from) {
    if (!reply.job) return this.redraw(from, reply.html);
    if (from?.classList.contains("card")) this.recolour(from, reply.html);
    for (const turn of this.place.querySelectorAll(`:scope > [data-job="${CSS.escape(reply.job)}"]`)) {
      this.put({ key: turn.dataset.key, html: reply.html });
    }
  }

  /** Add a turn, or put it in the place of the one with its key. A finished turn never goes back
   * to waiting, whatever order things arrive in. */
  put(turn, { draft = null } = {}) {
    const fresh = fragment(turn.html);
    rename(fresh, turn.key);
    const old = this.turn(turn.key);
    if (old && !old.querySelector("[data-waiting]") && fresh.querySelector("[data-waiting]")) {
      draft?.remove();
      return;
    }
    const stay = this.atEnd();
    const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    if (old) {
      old.replaceWith(fresh);
      draft?.remove();
    } else if (draft) {
      draft.replaceWith(fresh);
    } else {
      this.place.append(fresh);
    }
    if (focused) again(fresh, focused)?.focus();
    this.welcome();
    if (stay) this.toEnd();
  }

  /** A job's final answer arrived. */
  answered(turn) {
    const old = this.turn(turn.key);
    const news = !old || old.querySelector("[data-waiting]");
    this.put(turn);
    showQuota(turn.quota);
    if (!news) return;
    if (document.hidden) document.title = `● ${this.title}`;
    this.turn(turn.key)?.classList.add("is-new");
    const words = this.turn(turn.key)?.querySelector("div.prose")?.textContent;
    announce(`${say("ready", { prompt: turn.prompt })}. ${words ?? ""}`);
  }

  /** News of a job on its way; one begun in another tab is fetched first. */
  async update(news) {
    const turn = this.turn(news.key);
    if (turn) {
      const stay = this.atEnd();
      progress(turn, news);
      if (stay) this.toEnd();
      return;
    }
    if (this.fetching.has(news.key)) return;
    this.fetching.add(news.key);
    try {
      this.put(await fetchTurn(news.key));
    } catch { /* deleted, or the next update will fetch it */ }
    this.fetching.delete(news.key);
  }

  /** Catch up after having been away: draw what is new or has changed. Returns the new mark. */
  async refresh() {
    const { turns, mark, quota } = await fetchTurns();
    for (const turn of turns) {
      const old = this.turn(turn.key);
      if (!old || old.dataset.state !== turn.state) this.put(turn);
    }
    showQuota(quota);
    return mark;
  }

  draft(line) {
    const article = document.createElement("article");
    article.className = "turn";
    article.dataset.state = "sending";
    const asked = document.createElement("h2");
    asked.className = "asked";
    asked.textContent = line;
    const place = document.createElement("p");
    place.className = "place";
    place.textContent = `${say("sending")}…`;
    article.append(asked, place);
    this.place.append(article);
    this.welcome();
    this.toEnd();
    return article;
  }

  remove(turn, text) {
    const next = turn?.nextElementSibling?.querySelector("button, a");
    turn?.remove();
    (next ?? document.getElementById("line"))?.focus();
    this.welcome();
    note(text || say("removed"));
  }

  // A card keeps its own look; only what its buttons say has changed.
  recolour(card, html) {
    const fresh = fragment(html);
    for (const button of card.querySelectorAll("[data-action]")) {
      const twin = again(fresh, button.dataset.action);
      if (twin) button.replaceWith(twin.cloneNode(true));
    }
  }

  // What hangs on no job: a report that was decided is drawn anew where it is.
  redraw(from, html) {
    if (!from) return;
    if (!from.classList.contains("card")) return this.put({ key: from.dataset.key, html });
    const words = document.createElement("div");
    words.className = "card-words";
    words.append(...fragment(html).querySelector(".answer").childNodes);
    from.replaceChildren(words);
    (from.querySelector("button") ?? document.getElementById("line")).focus();
  }

  failed(error) {
    note(error instanceof StudioError ? error.message : say("unreadable"), { error: true });
    if (!(error instanceof StudioError)) console.error(error);
  }

  welcome() {
    const welcome = document.querySelector("[data-welcome]");
    if (welcome) welcome.hidden = this.place.querySelector(".turn") !== null;
  }

  atEnd() {
    return this.inStudio && innerHeight + scrollY >= document.body.scrollHeight - 160;
  }

  toEnd() {
    if (!this.inStudio || !this.place.querySelector(".turn")) return;
    scrollTo({ top: document.body.scrollHeight, behavior: "instant" });
  }
}

function fragment(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.querySelector("article");
}

// The same job shown in a second place needs ids of its own.
function rename(turn, key) {
  const before = turn.dataset.key;
  if (before === key) return;
  turn.dataset.key = key;
  turn.id = `turn-${key}`;
  turn.querySelector(`#asked-${CSS.escape(before)}`).id = `asked-${key}`;
  turn.setAttribute("aria-labelledby", `asked-${key}`);
}

// The button that does the same or undoes it: `fav` becomes `unfav` where it was.
function again(turn, action) {
  const verb = action.split(":")[0].replace(/^un/, "");
  return [...turn.querySelectorAll("[data-action]")]
    .find((button) => button.dataset.action.split(":")[0].replace(/^un/, "") === verb);
}

// Deleting asks once more, in the button itself.
function sure(button) {
  if (button.classList.contains("is-sure")) return true;
  const { textContent, ariaLabel } = button;
  button.classList.add("is-sure");
  button.textContent = button.ariaLabel = say("confirm_delete");
  announce(say("confirm_delete"));
  setTimeout(() => {
    button.classList.remove("is-sure");
    Object.assign(button, { textContent, ariaLabel });
  }, SURE_MS);
  return false;
}

function progress(turn, news) {
  const waiting = turn.querySelector("[data-waiting]");
  if (!waiting) return;
  turn.dataset.state = news.state;
  const bar = waiting.querySelector("[data-progress]");
  if (news.step !== null && news.total) {
    bar.max = news.total;
    bar.value = news.step;
  } else if (news.state === "running" && !bar.hasAttribute("value")) {
    bar.removeAttribute("value");
  } else if (news.state === "running" && bar.value === 0) {
    bar.removeAttribute("value"); // begun, but nothing to measure yet
  }
  waiting.querySelector("[data-place]").textContent = placeText(news);
  if (news.preview) showPreview(waiting, news.preview);
  if (news.text !== null) {
    const draft = waiting.querySelector("[data-draft]");
    draft.hidden = false;
    draft.textContent = news.text;
  }
}

function showPreview(waiting, source) {
  const frames = waiting.querySelector("[data-frames]");
  if (!frames) return;
  let image = frames.querySelector("img");
  if (!image) {
    image = document.createElement("img");
    image.alt = "";
    frames.replaceChildren(image);
    frames.classList.add("has-preview");
  }
  image.src = source;
}

function placeText(news) {
  const parts = [];
  if (news.state === "running") {
    parts.push(news.step === null ? say("working") : say("step", { step: news.step, total: news.total }));
  } else if (news.position !== null) {
    parts.push(news.position <= 1 ? say("next_in_line") : say("in_line", { position: news.position }));
  }
  if (news.eta_s !== null) {
    const minutes = news.eta_s >= 90;
    const n = Math.max(1, Math.round(minutes ? news.eta_s / 60 : news.eta_s));
    parts.push(say(minutes ? "about_min" : "about_s", { n }));
  }
  return parts.join(" · ");
}
