// Dialogs: forms that a reply brings, and the lightbox that shows pictures large.

import { note } from "./page.js";

let pictures = [];
let shown = 0;

export function startDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-enlarge]");
    // A click with a modifier keeps its meaning: a new tab, a download.
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openLightbox(link);
  });
  const box = document.getElementById("lightbox");
  if (!box) return;
  box.querySelector("[data-lightbox-close]").addEventListener("click", () => box.close());
  box.querySelector("[data-lightbox-previous]").addEventListener("click", () => turn(-1));
  box.querySelector("[data-lightbox-next]").addEventListener("click", () => turn(1));
  box.addEventListener("click", (event) => { if (event.target.matches("figure, dialog, img")) box.close(); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
}

function openLightbox(link) {
  const box = document.getElementById("lightbox");
  pictures = [...link.closest(".pictures").querySelectorAll("[data-enlarge]")];
  shown = pictures.indexOf(link);
  turn(0);
  box.showModal();
  box.querySelector("[data-lightbox-close]").focus();
  box.addEventListener("close", () => pictures[shown]?.focus(), { once: true });
}

function turn(step) {
  const box = document.getElementById("lightbox");
  shown = (shown + step + pictures.length) % pictures.length;
  const link = pictures[shown];
  const image = box.querySelector("[data-lightbox-image]");
  const small = link.querySelector("img");
  image.classList.toggle("is-small", small.naturalWidth <= 256); // larger would only be blurred
  image.src = link.href;
  image.alt = small.alt;
  const place = pictures.length > 1 ? ` (${shown + 1}/${pictures.length})` : "";
  box.querySelector("[data-lightbox-caption]").textContent = small.alt + place;
  box.querySelector("[data-lightbox-download]").href = link.dataset.download;
  for (const name of ["previous", "next"]) {
    box.querySelector(`[data-lightbox-${name}]`).hidden = pictures.length < 2;
  }
}

/** Show the dialog in a fragment; on submit, `submit({command, options})`. Its promise tells
 * whether the dialog may close. */
export function openDialog(html, submit) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const dialog = holder.content.querySelector("dialog");
  if (!dialog) return;
  document.body.append(dialog);
  const form = dialog.querySelector("form");
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("[data-dismiss]").addEventListener("click", () => dialog.close());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await submit({ command: form.dataset.ask, options: valuesOf(form) });
      dialog.close();
    } catch (error) {
      note(error.message, { error: true });
    } finally {
      button.disabled = false;
    }
  });
  dialog.showModal();
  const first = form.querySelector("textarea, input, select");
  first?.focus();
  first?.setSelectionRange?.(first.value.length, first.value.length);
}

// What was left empty is not sent: the model's own defaults hold then.
function valuesOf(form) {
  const values = { ...JSON.parse(form.dataset.hidden || "{}") };
  for (const control of form.elements) {
    if (!control.name) continue;
    const type = control.dataset.type;
    if (type === "boolean") values[control.name] = control.checked;
    else if (control.value === "") continue;
    else if (type === "integer" || type === "number") values[control.name] = Number(control.value);
    else values[control.name] = control.value;
  }
  return values;
}
