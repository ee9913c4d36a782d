"""Media made to fit what a platform takes: size, side, seconds. Pure bytes in, bytes out.

  pictures    the ladder of a picture that is too large: PNG as it is, WebP, JPEG; stills squared
  motion      emoji and stickers, still and moving;  paper: drawings on white lose their paper
  sounds      soundboard clips and voice messages with their waveform
  child       where the work is done: a process of its own that may crash, hang or grow

Decoding and encoding happen in a child with bounded time and memory, one at a time: the event loop
only waits. What was generated still says so afterwards. Used by platforms; knows none of them.
"""

from __future__ import annotations

from typing import Final

from bot.services.fitting import child
from bot.services.fitting.values import VOICE_BYTES, Fitted, Unfit, Voice

__all__ = ["Fitted", "Unfit", "Voice", "emoji", "picture", "sound", "sticker", "voice"]

_EXTENSIONS: Final = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
}


async def picture(
    data: bytes, mime: str, limit_bytes: int, *, stem: str = "picture"
) -> Fitted | None:
    """The picture in at most `limit_bytes`, as like itself as they allow: as it is, lossless WebP,
    WebP at the highest quality that fits, JPEG likewise. None where nothing fits or it cannot be
    read: link to it instead. `stem` is the file's name without its ending."""
    if len(data) <= limit_bytes:
        name = f"{stem}.{_EXTENSIONS.get(mime.partition(';')[0], 'bin')}"
        return Fitted(data, mime, name, {"how": "as it is"})
    try:
        return await child.fitted("picture", data, limit_bytes=limit_bytes, stem=stem)
    except Unfit:
        return None


async def emoji(data: bytes) -> Fitted:
    """A picture as an emoji: square, 128 px, at most 256 KiB; PNG, or GIF where it moves. Empty
    edges are cut away, transparency stays, a drawing on white loses its paper. Raises Unfit."""
    return await child.fitted("emoji", data)


async def sticker(data: bytes) -> Fitted:
    """A picture as a sticker: 320x320 PNG of at most 512 KiB; where it moves, an animated PNG of
    at most 5 s. Raises Unfit."""
    return await child.fitted("sticker", data)


async def sound(data: bytes) -> Fitted:
    """A sound for the soundboard: MP3, at most 5.2 s (what is longer fades out) and 512 kB.
    Raises Unfit."""
    return await child.fitted("sound", data)


async def voice(data: bytes, limit_bytes: int = VOICE_BYTES) -> Voice:
    """A sound as a voice message with its waveform, in at most `limit_bytes`. Raises Unfit."""
    made = await child.fitted("voice", data, limit_bytes=limit_bytes)
    return Voice(made.data, float(made.facts["duration_s"]), str(made.facts["waveform"]))
