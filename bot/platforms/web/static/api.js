// Talks to the studio. An invocation keeps its id over every retry, so it happens once.

import { say } from "./page.js";

const PAUSES_MS = [400, 1200, 3000];

/** An error with a sentence for people. */
export class StudioError extends Error {}

/** Ask for something to be done: `{line}`, `{command, options}` or `{action}`. `pictures` go along by
 * the name of their option: files as they are, the studio's own by their id. */
export function invoke({ pictures = {}, ...what }) {
  const asked = { id: newId(), ...what };
  const own = Object.entries(pictures).filter(([, picture]) => picture.id);
  if (own.length) asked.options = { ...asked.options, ...Object.fromEntries(own.map(([name, { id }]) => [name, id])) };
  const files = Object.entries(pictures).filter(([, picture]) => picture.file);
  if (!files.length) return post("/api/invoke", asked);
  const body = new FormData();
  body.append("asked", JSON.stringify(asked));
  files.forEach(([name, { file }]) => body.append(name, file, file.name));
  return call("/api/invoke", { method: "POST", body }, PAUSES_MS);
}

/** The command of a line as a form. */
export function askForm(line) {
  return post("/api/form", { line });
}

export function fetchTurns() {
  return call("/api/turns");
}

export function fetchTurn(key) {
  return call(`/api/turns/${encodeURIComponent(key)}`);
}

/** Pictures of the history, those before a place in it. */
export function fetchPictures(before) {
  return call(`/api/pictures?before=${encodeURIComponent(before)}`);
}

function post(path, body) {
  return call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }, PAUSES_MS);
}

async function call(path, options = {}, pauses = []) {
  let response;
  try {
    response = await fetch(path, { ...options, credentials: "same-origin" });
  } catch {
    if (!pauses.length) throw new StudioError(say("not_sent"));
    await new Promise((resolve) => setTimeout(resolve, pauses[0]));
    return call(path, options, pauses.slice(1));
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new StudioError(say("unreadable"));
  }
  if (!response.ok) throw new StudioError(answer.error ?? say("unreadable"));
  return answer;
}

// crypto.randomUUID exists only over HTTPS and on localhost, and studios are also opened by address.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
