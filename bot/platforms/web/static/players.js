// Sounds and videos: one sound at a time, and no motion for who wants less of it.

const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export function startPlayers() {
  // Neither `play` nor `loadedmetadata` bubbles, so they are caught on their way down.
  document.addEventListener("play", (event) => {
    if (isHeard(event.target)) silenceOthers(event.target);
  }, true);
  document.addEventListener("volumechange", (event) => {
    if (!event.target.paused && isHeard(event.target)) silenceOthers(event.target);
  }, true);
  document.addEventListener("loadedmetadata", (event) => {
    if (event.target.matches("video[autoplay]") && STILL.matches) hold(event.target);
  }, true);
  if (STILL.matches) document.querySelectorAll("video[autoplay]").forEach(hold);
}

function isHeard(player) {
  return player instanceof HTMLMediaElement && !player.muted;
}

function silenceOthers(player) {
  for (const other of document.querySelectorAll("audio, video")) {
    if (other !== player && isHeard(other)) other.pause();
  }
}

function hold(video) {
  video.autoplay = false;
  video.pause();
}
