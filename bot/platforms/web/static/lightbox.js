// Pictures shown large: arrows turn, Escape closes, and what can be done with a picture can be done
// here too: its own buttons of the answer, using it for something new, saving it.

let pictures = [];
let shown = 0;

export function startLightbox() {
  const box = document.getElementById("lightbox");
  if (!box) return;
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-enlarge]");
    // A click with a modifier keeps its meaning: a new tab, a download.
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(box, link);
  });
  box.querySelector("[data-lightbox-close]").addEventListener("click", () => box.close());
  box.querySelector("[data-lightbox-previous]").addEventListener("click", () => turn(box, shown - 1));
  box.querySelector("[data-lightbox-next]").addEventListener("click", () => turn(box, shown + 1));
  box.querySelector("[data-lightbox-use]").addEventListener("click", () => {
    const link = pictures[shown];
    box.close();
    link.dispatchEvent(new CustomEvent("usepicture", { bubbles: true, detail: pictureOf(link) }));
  });
  box.addEventListener("click", (event) => { if (event.target.matches("figure, dialog, img")) box.close(); });
  box.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: shown - 1, ArrowRight: shown + 1, Home: 0, End: pictures.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    turn(box, to);
  });
}

/** The picture behind a link, as commands take it. */
export function pictureOf(link) {
  return { id: link.dataset.picture, name: link.querySelector("img").alt, source: link.href };
}

function open(box, link) {
  pictures = [...(link.closest("[data-pictures]") ?? document).querySelectorAll("[data-enlarge]")];
  turn(box, pictures.indexOf(link));
  box.showModal();
  box.querySelector("[data-lightbox-close]").focus();
  box.addEventListener("close", () => pictures[shown]?.focus(), { once: true });
}

function turn(box, to) {
  shown = (to + pictures.length) % pictures.length;
  const link = pictures[shown];
  const image = box.querySelector("[data-lightbox-image]");
  const small = link.querySelector("img");
  image.classList.remove("is-small", "is-tiny");
  image.onload = () => {
    const side = Math.max(image.naturalWidth, image.naturalHeight);
    image.classList.toggle("is-small", side <= 256); // larger would only be blurred
    image.classList.toggle("is-tiny", side <= 128);
  };
  image.src = link.href;
  image.alt = small?.alt ?? link.textContent.trim();
  const place = pictures.length > 1 ? ` (${shown + 1}/${pictures.length})` : "";
  box.querySelector("[data-lightbox-caption]").textContent = image.alt + place;
  box.querySelector("[data-lightbox-download]").href = link.dataset.download;
  box.querySelector("[data-lightbox-use]").hidden = !link.dataset.picture;
  for (const name of ["previous", "next"]) {
    box.querySelector(`[data-lightbox-${name}]`).hidden = pictures.length < 2;
  }
  box.querySelector("[data-lightbox-actions]").replaceChildren(...actionsOf(link).map((button) => twin(box, button)));
}

// The buttons of the answer that are about this picture: `u2` and `v2` for the second.
function actionsOf(link) {
  const turn = link.closest("[data-key]");
  if (!turn || !link.dataset.picture) return [];
  const ours = new RegExp(`^[a-z]+${shown + 1}:`);
  return [...turn.querySelectorAll("[data-action]")].filter((button) => ours.test(button.dataset.action));
}

function twin(box, button) {
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "button";
  copy.textContent = button.title || button.textContent;
  copy.addEventListener("click", () => {
    box.close();
    button.click();
  });
  return copy;
}
