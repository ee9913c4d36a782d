// "Use this picture": asks what for, and carries it into the composer, from other pages too.

import { pictureOf } from "./lightbox.js";
import { takers, thumbnail } from "./pictures.js";

const ID = /^[0-9a-f]{32}$/;

export function startUsing(composer) {
  const dialog = document.getElementById("use");
  if (!dialog || !takers.length) return;
  document.body.classList.add("has-takers");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-use]");
    if (button) ask(dialog, composer, pictureOf(button.closest("li, figure").querySelector("[data-picture]")));
  });
  document.addEventListener("usepicture", (event) => ask(dialog, composer, event.detail));
  dialog.querySelector("[data-use-close]").addEventListener("click", () => dialog.close());
  if (composer) arrive(composer);
}

function ask(dialog, composer, picture) {
  const list = dialog.querySelector("[data-use-commands]");
  dialog.querySelector("[data-thumbnail]").replaceChildren(thumbnail(picture));
  list.replaceChildren(...takers.map((command) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "example";
    const name = document.createElement("span");
    name.className = "command";
    name.textContent = `/${command.name}`;
    const says = document.createElement("span");
    says.className = "says";
    says.textContent = command.summary;
    button.append(name, says);
    button.addEventListener("click", () => { dialog.close(); carry(composer, picture, command); });
    const place = document.createElement("li");
    place.append(button);
    return place;
  }));
  dialog.showModal();
  list.querySelector("button").focus();
}

function carry(composer, picture, command) {
  if (composer) composer.use(picture, command);
  else location.assign(`/?use=${picture.id}&for=${encodeURIComponent(command.name)}`);
}

// Brought along from the history page; the address is cleaned, so that a reload does not repeat it.
function arrive(composer) {
  const asked = new URLSearchParams(location.search);
  const [id, name] = [asked.get("use") ?? "", asked.get("for")];
  const command = takers.find((one) => one.name === name);
  if (!ID.test(id) || !command) return;
  history.replaceState(null, "", "/");
  composer.use({ id, name: "", source: `/artifacts/${id}` }, command);
}
