// Pictures that commands work on: {file, name} from this machine, or {id, name, source} out of what
// the studio has made.

import { fetchPictures } from "./api.js";
import { data, note, say } from "./page.js";

const TYPES = ["image/png", "image/jpeg", "image/webp"];
const THUMBNAIL_PX = 128;

/** The commands that take pictures. */
export const takers = data.commands.filter((command) => slotsOf(command).length > 0);

/** The names of the options that a picture can be given as. */
export function slotsOf(command) {
  return command.options.filter((option) => option.type === "image").map((option) => option.name);
}

/** The files that were dropped or pasted. Who pastes words means the words: cells of a table, say,
 * come with a picture of themselves. */
export function filesIn({ clipboardData, dataTransfer }) {
  if (dataTransfer) return [...dataTransfer.files];
  if (!clipboardData || clipboardData.types.includes("text/plain")) return [];
  return [...clipboardData.files].filter((file) => file.type.startsWith("image/"));
}

/** Why the studio would not take the picture, in a sentence; empty where it would. */
export function refusal({ file }) {
  if (!file) return "";
  if (!TYPES.includes(file.type)) return say("picture_type", { name: file.name });
  if (file.size > data.max_upload_bytes) {
    return say("picture_too_large", { name: file.name, limit: data.max_upload });
  }
  return "";
}

/** The picture, small. A file is drawn rather than linked: pages may only load what the studio
 * serves. */
export function thumbnail(picture) {
  if (picture.source) {
    const image = document.createElement("img");
    image.src = picture.source;
    image.alt = picture.name;
    return image;
  }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL_PX;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", picture.name);
  createImageBitmap(picture.file).then((bitmap) => {
    const scale = Math.max(THUMBNAIL_PX / bitmap.width, THUMBNAIL_PX / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (THUMBNAIL_PX - width) / 2, (THUMBNAIL_PX - height) / 2, width, height);
    bitmap.close();
  }, () => note(say("picture_broken", { name: picture.name }), { error: true }));
  return canvas;
}

/** Let one choose among the pictures of the history; null where one does not. */
export function pickFromHistory() {
  const dialog = document.getElementById("picker");
  const list = dialog.querySelector("[data-picker-list]");
  const older = dialog.querySelector("[data-picker-older]");
  const nothing = dialog.querySelector("[data-picker-nothing]");
  list.replaceChildren();
  nothing.hidden = true;
  let before = "";

  async function more() {
    older.disabled = true;
    try {
      const page = await fetchPictures(before);
      const holder = document.createElement("template");
      holder.innerHTML = page.html;
      const fresh = [...holder.content.children];
      list.append(...fresh);
      before = page.older;
      nothing.hidden = list.children.length > 0;
      fresh[0]?.querySelector("button").focus();
    } catch (error) {
      note(error.message, { error: true });
    }
    older.hidden = !before;
    older.disabled = false;
  }

  return new Promise((resolve) => {
    let chosen = null;
    const choose = (event) => {
      const button = event.target.closest("[data-choose-picture]");
      if (!button) return;
      const image = button.querySelector("img");
      chosen = { id: button.dataset.choosePicture, name: image.alt, source: image.src };
      dialog.close();
    };
    const leave = () => {
      list.removeEventListener("click", choose);
      older.onclick = null;
      resolve(chosen);
    };
    list.addEventListener("click", choose);
    older.onclick = more;
    dialog.querySelector("[data-picker-close]").onclick = () => dialog.close();
    dialog.addEventListener("close", leave, { once: true });
    dialog.showModal();
    more();
  });
}
