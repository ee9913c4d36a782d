// Pictures that wait in the composer to be sent with the next command.

import { note, say } from "./page.js";
import { filesIn, refusal, slotsOf, thumbnail } from "./pictures.js";

export class Attachments {
  /** `changed` is called after a picture was added or taken away. */
  constructor(form, changed) {
    this.list = form.querySelector("[data-attached]");
    this.pictures = [];
    this.changed = changed;
    const input = form.querySelector("[data-attach-input]");
    form.querySelector("[data-attach]").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add([...input.files].map((file) => ({ file, name: file.name })));
      input.value = ""; // the same file may be chosen again
    });
    document.addEventListener("paste", (event) => this.take(event));
    document.addEventListener("dragover", (event) => this.hover(event));
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) this.hover(null); });
    document.addEventListener("drop", (event) => { this.hover(null); this.take(event); });
  }

  get count() {
    return this.pictures.length;
  }

  take(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const files = filesIn(event);
    if (!files.length) return;
    event.preventDefault();
    this.add(files.map((file) => ({ file, name: file.name })));
  }

  hover(event) {
    const over = Boolean(event?.dataTransfer?.types.includes("Files")) && !document.querySelector("dialog[open]");
    document.body.classList.toggle("is-dropping", over);
    if (over) event.preventDefault(); // else the browser would leave the page for the file
  }

  add(pictures) {
    for (const picture of pictures) {
      const wrong = refusal(picture);
      if (wrong) note(wrong, { error: true });
      else this.pictures.push(picture);
    }
    this.draw();
    this.changed();
  }

  clear() {
    const held = this.pictures;
    this.pictures = [];
    this.draw();
    return held;
  }

  /** What goes with a line: pictures by option, or null where they do not fit the command. */
  fitting(command, line) {
    if (!this.count || !command) return {};
    const free = this.free(command, line);
    if (this.count > free.length) {
      note(say(slotsOf(command).length ? "pictures_too_many" : "pictures_none", { name: command.name, n: free.length }), { error: true });
      return null;
    }
    return Object.fromEntries(this.pictures.map((picture, at) => [free[at], picture]));
  }

  free(command, line) {
    return slotsOf(command).filter((name) => !line.includes(`${name}:`));
  }

  /** Name each picture by the option it will be, as far as the line tells. */
  label(command, line) {
    const free = command ? this.free(command, line) : [];
    [...this.list.children].forEach((place, at) => {
      place.querySelector("[data-slot]").textContent = free[at] ?? "";
    });
  }

  draw() {
    this.list.hidden = !this.count;
    this.list.replaceChildren(...this.pictures.map((picture) => this.drawn(picture)));
  }

  drawn(picture) {
    const place = document.createElement("li");
    const slot = document.createElement("span");
    slot.className = "slot mono";
    slot.dataset.slot = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "remove";
    button.textContent = "×";
    button.ariaLabel = button.title = say("picture_remove", { name: picture.name });
    button.addEventListener("click", () => {
      this.pictures = this.pictures.filter((one) => one !== picture);
      this.draw();
      this.changed();
    });
    place.append(thumbnail(picture), slot, button);
    return place;
  }
}
