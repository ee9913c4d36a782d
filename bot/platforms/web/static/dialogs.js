// Forms that a reply brings, in a dialog.

import { note } from "./page.js";
import { fieldsOf } from "./fields.js";

/** Show the dialog in a fragment; on submit, `submit({command, options})`. Its promise tells
 * whether the dialog may close. */
export function openDialog(html, submit) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const dialog = holder.content.querySelector("dialog");
  if (!dialog) return;
  document.body.append(dialog);
  const form = dialog.querySelector("form");
  const fields = fieldsOf(form);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("[data-dismiss]").addEventListener("click", () => dialog.close());
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!fields.complete()) return;
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await submit({ command: form.dataset.ask, options: valuesOf(form), pictures: fields.chosen() });
      dialog.close();
    } catch (error) {
      note(error.message, { error: true });
    } finally {
      button.disabled = false;
    }
  });
  dialog.showModal();
  const first = form.querySelector("textarea, input:not([type=file]), select, [data-choose], [data-remove]");
  first?.focus();
  // A field of numbers has no place for a cursor, and says so by an error.
  if (first?.selectionStart != null) first.setSelectionRange(first.value.length, first.value.length);
}

// What was left empty is not sent: the model's own defaults hold then.
function valuesOf(form) {
  const values = { ...JSON.parse(form.dataset.hidden || "{}") };
  for (const control of form.elements) {
    if (!control.name || control.type === "file") continue;
    const type = control.dataset.type;
    if (type === "boolean") values[control.name] = control.checked;
    else if (control.value === "") continue;
    else if (type === "integer" || type === "number") values[control.name] = Number(control.value);
    else values[control.name] = control.value;
  }
  return values;
}
