// The line in which commands are typed, with a list of suggestions (ARIA combobox with listbox).
//
// Enter sends, Tab completes, arrows choose, Escape closes; while an input method composes (Chinese,
// Japanese) all keys belong to it. In an empty line, arrow up brings back what was sent before.

import { askForm } from "./api.js";
import { Attachments } from "./attachments.js";
import { commandOf, complete } from "./completion.js";
import { openDialog } from "./dialogs.js";
import { announce, data, note, say } from "./page.js";
import { takers } from "./pictures.js";

const MAX_REMEMBERED = 50;

export function startComposer(conversation) {
  const form = document.querySelector("[data-composer]");
  return form ? new Composer(form, conversation) : null;
}

class Composer {
  constructor(form, conversation) {
    this.form = form;
    this.conversation = conversation;
    this.line = form.querySelector("textarea");
    this.list = form.querySelector("[role=listbox]");
    this.hint = form.querySelector("[data-hint]");
    this.items = [];
    this.chosen = -1;
    this.closed = false;
    this.sent = [...document.querySelectorAll(".asked[id]")].map(typedIn);
    this.back = this.sent.length;
    this.attached = new Attachments(form, () => this.offer());
    this.listenTo();
    this.grow();
    if (!matchMedia("(pointer: coarse)").matches) this.line.focus();
  }

  listenTo() {
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.line.addEventListener("input", () => { this.closed = false; this.suggest(); });
    this.line.addEventListener("keydown", (event) => this.key(event));
    this.line.addEventListener("click", () => this.suggest());
    this.line.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // keep the focus
    this.list.addEventListener("click", (event) => {
      const place = event.target.closest("[role=option]");
      if (place) this.take(this.items[[...this.list.children].indexOf(place)]);
    });
    this.form.querySelector("[data-open-form]").addEventListener("click", () => this.openForm());
    document.querySelectorAll("[data-example]").forEach((button) => {
      button.addEventListener("click", () => this.put(button.dataset.example));
    });
  }

  key(event) {
    if (event.isComposing || event.keyCode === 229) return;
    const open = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (open && this.chosen >= 0) this.take(this.items[this.chosen]);
      else this.send();
    } else if (event.key === "Tab" && !event.shiftKey) {
      if (!open) this.suggest({ all: true });
      const item = this.items[Math.max(this.chosen, 0)];
      // In a line that cannot be completed, Tab goes to the next control as everywhere.
      if (!item || !this.line.value.trim()) { this.close(); return; }
      event.preventDefault();
      if (open) this.take(item);
      else this.choose(0);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      this.closed = true;
      this.close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.arrow(event, event.key === "ArrowDown" ? 1 : -1, open);
    }
  }

  arrow(event, step, open) {
    if (open) {
      event.preventDefault();
      const count = this.items.length;
      this.choose(this.chosen < 0 && step < 0 ? count - 1 : (this.chosen + step + count) % count);
    } else if (!this.line.value || this.sent[this.back] === this.line.value) {
      const next = this.back + step;
      if (next < 0 || (step > 0 && this.back >= this.sent.length)) return;
      event.preventDefault();
      this.back = Math.min(next, this.sent.length);
      this.put(this.sent[this.back] ?? "", { quiet: true });
    } else if (step > 0 && !this.line.value.includes("\n")) {
      event.preventDefault();
      this.suggest({ all: true });
    }
  }

  suggest(options = {}) {
    this.grow();
    this.attached.label(this.command, this.line.value);
    // With a picture in hand, only commands that take one come into question.
    const commands = this.attached.count && takers.length ? takers : data.commands;
    const found = complete(this.line.value, this.line.selectionStart, commands, options);
    this.tell(found.hint);
    this.items = this.closed && !options.all ? [] : found.items;
    if (!this.items.length) { this.close(); return; }
    this.list.replaceChildren(...this.items.map(drawn));
    this.list.hidden = false;
    this.line.setAttribute("aria-expanded", "true");
    this.choose(found.eager ? 0 : -1);
    announce(say("suggestions", { n: this.items.length }));
  }

  choose(index) {
    this.chosen = index;
    [...this.list.children].forEach((place, at) => {
      place.setAttribute("aria-selected", String(at === index));
      if (at === index) place.scrollIntoView({ block: "nearest" });
    });
    if (index >= 0) this.line.setAttribute("aria-activedescendant", `suggestion-${index}`);
    else this.line.removeAttribute("aria-activedescendant");
  }

  close() {
    this.items = [];
    this.list.hidden = true;
    this.list.replaceChildren();
    this.line.setAttribute("aria-expanded", "false");
    this.choose(-1);
  }

  take(item) {
    this.line.setRangeText(item.insert, item.from, item.to, "end");
    this.line.focus();
    this.suggest();
  }

  put(text, { quiet = false } = {}) {
    this.line.value = text;
    this.line.focus();
    this.line.setSelectionRange(text.length, text.length);
    if (quiet) { this.close(); this.grow(); } else this.suggest();
  }

  /** The command that the line begins with, if there is one. */
  get command() {
    return commandOf(this.line.value, data.commands);
  }

  // A picture came or went: say what can be done with it, and what it will be.
  offer() {
    this.line.focus();
    this.closed = false;
    this.suggest({ all: this.attached.count > 0 && !this.command });
  }

  /** Begin a command with a picture that the studio has made. */
  use(picture, command) {
    if (this.command?.name !== command.name) {
      this.attached.clear();
      this.put(`/${command.name} `, { quiet: true });
    }
    this.attached.add([picture]);
  }

  async send() {
    const line = this.line.value.trim();
    if (!line) return;
    const pictures = this.attached.fitting(this.command, line);
    if (!pictures) return;
    this.sent = [...this.sent.slice(-MAX_REMEMBERED), line];
    this.back = this.sent.length;
    const held = this.attached.clear();
    this.put("", { quiet: true });
    this.tell("");
    const reply = await this.conversation.ask(line, pictures);
    // What could not be sent is given back, unless something new was begun meanwhile.
    if (this.line.value || this.attached.count) return;
    if (!reply || (reply.error && held.length)) {
      this.put(line, { quiet: true });
      if (held.length) this.attached.add(held);
    }
  }

  async openForm() {
    try {
      const { html } = await askForm(this.line.value);
      openDialog(html, (what) => {
        this.put("", { quiet: true });
        return this.conversation.submit(what);
      });
    } catch (error) {
      note(error.message, { error: true });
    }
  }

  tell(hint) {
    this.hint.textContent = hint || this.hint.dataset.keys;
    this.hint.toggleAttribute("data-idle", !hint);
  }

  // Browsers that know `field-sizing` do this by themselves.
  grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.line.style.height = "auto";
    this.line.style.height = `${this.line.scrollHeight}px`;
  }
}

function drawn(item, index) {
  const place = document.createElement("li");
  place.className = "suggestion";
  place.id = `suggestion-${index}`;
  place.setAttribute("role", "option");
  place.setAttribute("aria-selected", "false");
  const label = document.createElement("span");
  label.className = "command";
  label.textContent = item.label;
  const says = document.createElement("span");
  says.className = "says";
  says.textContent = item.says;
  place.append(label, says);
  return place;
}

function typedIn(heading) {
  const copy = heading.cloneNode(true);
  copy.querySelectorAll(".visually-hidden").forEach((hidden) => hidden.remove());
  return copy.textContent.trim();
}
