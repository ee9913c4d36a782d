"""What fitting gives back, and the limits it fits to. Pure; the platforms and the child share it.

Source of the limits: Discord's documentation, resources/emoji, sticker, soundboard and message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bot.errors import UserError

EMOJI_BYTES: Final = 256 * 1024
EMOJI_PX: Final = 128
STICKER_BYTES: Final = 512 * 1024
STICKER_PX: Final = 320
STICKER_S: Final = 5.0
SOUND_BYTES: Final = 512_000
SOUND_S: Final = 5.2
VOICE_BYTES: Final = 10 * 1024 * 1024
VOICE_S: Final = 1200.0  # longer than anything made here, and still bounded
WAVEFORM_POINTS: Final = 192  # bytes; 256 characters of base64

MAX_INPUT_BYTES: Final = 256 * 1024 * 1024
MAX_INPUT_PIXELS: Final = 64_000_000  # of one picture; eight bytes of memory for each
MAX_FRAMES: Final = 600  # of an animation that are looked at

Facts = Mapping[str, int | float | str]


class Unfit(UserError):
    """The media cannot be made to fit; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Media that fit. `facts`: `width` and `height` in pixels or `duration_s`, `how` (the step of
    the ladder: "as it is", "webp lossless", "webp 82"...), `frames` where it moves."""

    data: bytes = field(repr=False)
    mime: str
    filename: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice message: mono Opus at 48 kHz in Ogg. `waveform` is base64 of one byte (0 to 255) for
    each of at most `WAVEFORM_POINTS` equal parts, at least 0.1 s each; 256 characters at most."""

    data: bytes = field(repr=False)
    duration_s: float
    waveform: str
    mime: str = "audio/ogg"
    filename: str = "voice-message.ogg"
