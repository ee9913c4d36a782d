// Picture fields of a form: choose a file, drop or paste one, or take one from the history.

import { note, say } from "./page.js";
import { filesIn, pickFromHistory, refusal, thumbnail } from "./pictures.js";

export function fieldsOf(form) {
  return new Fields([...form.querySelectorAll("[data-picture-field]")].map((place) => new Field(place)), form);
}

class Fields {
  constructor(fields, form) {
    this.fields = fields;
    if (!fields.length) return;
    form.addEventListener("paste", (event) => this.take(event));
    // Beside a field, a dropped file would make the browser leave the page for it.
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => this.take(event));
  }

  // Into the field that it fell on, else the first that is empty.
  take(event) {
    const files = filesIn(event);
    if (!files.length) return;
    event.preventDefault();
    for (const file of files) {
      const aimed = files.length === 1 && this.fields.find((one) => one.place.contains(event.target));
      (aimed || this.fields.find((one) => !one.picture) || this.fields.at(-1)).put({ file, name: file.name });
    }
  }

  /** The pictures by the name of their option. */
  chosen() {
    return Object.fromEntries(this.fields.filter((one) => one.picture).map((one) => [one.name, one.picture]));
  }

  /** Whether nothing that is needed is missing; says so where something is. */
  complete() {
    const missing = this.fields.find((one) => one.place.dataset.required && !one.picture);
    if (!missing) return true;
    note(say("picture_missing", { name: missing.name }), { error: true });
    missing.place.querySelector("[data-choose]").focus();
    return false;
  }
}

class Field {
  constructor(place) {
    this.place = place;
    this.name = place.dataset.pictureField;
    this.picture = null;
    this.shown = place.querySelector("[data-shown]");
    const input = place.querySelector("input[type=file]");
    place.querySelector("[data-choose]").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (file) this.put({ file, name: file.name });
      input.value = ""; // the same file may be chosen again
    });
    place.querySelector("[data-from-history]").addEventListener("click", async () => {
      const picture = await pickFromHistory();
      if (picture) this.put(picture);
    });
    place.querySelector("[data-remove]").addEventListener("click", () => {
      this.put(null);
      place.querySelector("[data-choose]").focus();
    });
    place.addEventListener("dragenter", () => place.classList.add("is-over"));
    place.addEventListener("dragleave", (event) => {
      if (!place.contains(event.relatedTarget)) place.classList.remove("is-over");
    });
    place.addEventListener("drop", () => place.classList.remove("is-over"));
    const id = place.dataset.given;
    if (id) this.put({ id, name: id, source: `/pictures?of=${encodeURIComponent(id)}` });
  }

  put(picture) {
    const wrong = picture ? refusal(picture) : "";
    if (wrong) { note(wrong, { error: true }); return; }
    this.picture = picture;
    this.shown.hidden = !picture;
    this.place.querySelector("[data-empty]").hidden = Boolean(picture);
    this.shown.querySelector("[data-thumbnail]").replaceChildren(...(picture ? [thumbnail(picture)] : []));
    this.shown.querySelector("[data-name]").textContent = picture?.name ?? "";
    if (picture) this.shown.querySelector("[data-remove]").focus();
  }
}
