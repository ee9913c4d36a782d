// What every page has: its data and texts, the theme switch, quota, notes, the spoken announcer.

const block = document.getElementById("studio-data");

/** What the server told this page: `mark`, `locale`, `commands`, `texts`. */
export const data = block ? JSON.parse(block.textContent) : { commands: [], texts: {}, mark: "" };

/** A sentence in the page's language, its {places} filled in. */
export function say(name, values = {}) {
  return (data.texts[name] ?? name).replace(/\{(\w+)\}/g, (_, place) => values[place] ?? "");
}

export function startPage() {
  document.querySelector(".pages [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  const button = document.querySelector("[data-theme-switch]");
  button?.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    // A cookie, so that the server draws the next page in it at once, without a flash.
    document.cookie = `atelier-theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  });
}

/** Say something to who listens rather than looks. */
export function announce(text) {
  const place = document.querySelector("[data-announcer]");
  if (!place) return;
  place.textContent = "";
  // The same sentence twice is only spoken twice if the element was empty in between.
  requestAnimationFrame(() => { place.textContent = text.slice(0, 400); });
}

/** Show a passing note; `link` is {href, text}. */
export function note(text, { error = false, link = null } = {}) {
  const notes = document.querySelector("[data-notes]");
  const element = document.createElement("div");
  element.className = error ? "note is-error" : "note";
  element.append(text);
  if (link) {
    const anchor = document.createElement("a");
    anchor.href = link.href;
    anchor.textContent = link.text;
    element.append(anchor);
  }
  notes.append(element);
  while (notes.children.length > 3) notes.firstChild.remove();
  setTimeout(() => element.remove(), error || link ? 9000 : 4500);
  announce(text);
}

/** Draw the quota meter anew. */
export function showQuota(quota) {
  const place = document.querySelector("[data-quota]");
  if (!place || !quota) return;
  place.title = quota.detail;
  place.querySelector("[data-quota-text]").textContent = quota.text;
  place.querySelector("[data-quota-meter]").value = quota.fraction;
}

export function showBanner(text) {
  const banner = document.querySelector("[data-banner]");
  banner.textContent = text;
  banner.hidden = !text;
}
