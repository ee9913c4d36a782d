"""Soundboard clips and voice messages, through PyAV (FFmpeg): decoded, mixed down, encoded anew,
piece by piece, so that the length of a sound does not matter to memory.

Runs in the child only (`bot.services.fitting.__main__`).
"""

from __future__ import annotations

import array
import base64
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

import av
import av.error

from bot.services.fitting.search import best_that_fits
from bot.services.fitting.values import (
    SOUND_BYTES,
    SOUND_S,
    VOICE_S,
    WAVEFORM_POINTS,
    Facts,
    Fitted,
    Unfit,
)

RATE: Final = 48_000  # Hz, mono: what Discord's own clients record
# MP3 pads a clip to whole frames and adds its own delay: up to three frames of 24 ms.
_CLIP_S: Final = SOUND_S - 0.1
_FADE_S: Final = 0.15  # where a sound had to be cut
_CLIP_BIT_RATES: Final = (192_000, 128_000, 96_000, 64_000)
_VOICE_BIT_RATES: Final = (64_000, 48_000, 32_000, 24_000, 16_000, 12_000, 8_000)
_POINT_S: Final = 0.1  # the shortest part that a point of a waveform stands for
_LOUDEST: Final = 32_767
_QUIETEST_PEAK: Final = 328  # -40 dB: what is softer is drawn as that soft

_UNREADABLE = ("The sound cannot be read.", "无法读取这段声音。")


@dataclass(frozen=True, slots=True)
class Heard:
    """A decoded sound: 16 bit samples at `RATE`, mono; `comment` is what it says of its origin."""

    samples: array.array[int]
    comment: str
    cut: bool  # whether there was more

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE


def clip(data: bytes) -> Fitted:
    """A soundboard sound: MP3, cut and faded out where it is too long. Raises Unfit."""
    heard = _heard(data, _CLIP_S)
    if heard.cut:
        _fade_out(heard.samples)
    found = best_that_fits(
        _CLIP_BIT_RATES, lambda rate: _encoded(heard, "mp3", "libmp3lame", rate), SOUND_BYTES
    )
    if found is None:
        raise Unfit("The sound is too large.", "声音文件太大。")
    facts: Facts = {
        "duration_s": round(heard.duration_s, 3),
        "how": f"mp3 {found[0] // 1000} kbit/s",
    }
    return Fitted(found[1], "audio/mpeg", "sound.mp3", facts)


def voice(data: bytes, *, limit_bytes: int) -> Fitted:
    """A voice message in Opus, with its `waveform` among the facts. Raises Unfit."""
    heard = _heard(data, VOICE_S)
    if heard.cut:
        raise Unfit(
            "The sound is too long for a voice message.", "声音太长，无法作为语音消息发送。"
        )
    found = best_that_fits(
        _VOICE_BIT_RATES, lambda rate: _encoded(heard, "ogg", "libopus", rate), limit_bytes
    )
    if found is None:
        raise Unfit("The sound is too large.", "声音文件太大。")
    facts: Facts = {
        "duration_s": round(heard.duration_s, 3),
        "waveform": base64.b64encode(waveform(heard.samples)).decode(),
        "how": f"opus {found[0] // 1000} kbit/s",
    }
    return Fitted(found[1], "audio/ogg", "voice-message.ogg", facts)


def waveform(samples: array.array[int]) -> bytes:
    """One byte per part: the loudest sample of it against the loudest of all, 0 to 255."""
    points = max(1, min(WAVEFORM_POINTS, math.ceil(len(samples) / RATE / _POINT_S)))
    edges = [len(samples) * point // points for point in range(points + 1)]
    peaks = [
        max(max(part), -min(part)) if (part := samples[start:end]) else 0
        for start, end in pairwise(edges)
    ]
    loudest = max(_QUIETEST_PEAK, *peaks, 1)
    return bytes(min(255, round(255 * peak / loudest)) for peak in peaks)


def _heard(data: bytes, longest_s: float) -> Heard:
    """Decode at most so many seconds. Raises Unfit."""
    samples, most = array.array("h"), int(longest_s * RATE)
    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise Unfit("There is no sound in this file.", "这个文件里没有声音。")
            stream = container.streams.audio[0]
            told = {**stream.metadata, **container.metadata}
            comment = next((told[key] for key in told if key.lower() == "comment"), "")
            for piece in _pieces(container, stream):
                samples.frombytes(piece)
                if len(samples) > most:
                    break
    except av.error.FFmpegError as error:
        raise Unfit(*_UNREADABLE) from error
    if not samples:
        raise Unfit("There is no sound in this file.", "这个文件里没有声音。")
    cut = len(samples) > most
    return Heard(samples[:most], comment if "Atelier" in comment else "", cut)


def _pieces(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[bytes | memoryview]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    for frame in container.decode(stream):
        for ours in resampler.resample(frame):
            yield memoryview(ours.planes[0])[: ours.samples * 2]
    for ours in resampler.resample(None):
        yield memoryview(ours.planes[0])[: ours.samples * 2]


def _fade_out(samples: array.array[int]) -> None:
    """Let the end die away, since a cut is heard as a click."""
    length = min(len(samples), int(_FADE_S * RATE))
    start = len(samples) - length
    for index in range(length):
        samples[start + index] = round(samples[start + index] * (1 - (index + 1) / length))


def _encoded(heard: Heard, container_format: str, codec: str, bit_rate: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format, options={"fflags": "+bitexact"}) as out:
        if heard.comment:
            out.metadata["comment"] = heard.comment
        stream = cast(av.AudioStream, out.add_stream(codec, rate=RATE, layout="mono"))
        stream.bit_rate = bit_rate
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        if heard.comment:
            stream.metadata["comment"] = heard.comment
        for start in range(0, len(heard.samples), RATE):
            part = heard.samples[start : start + RATE]
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(part))
            frame.planes[0].update(part.tobytes())
            frame.sample_rate = RATE
            frame.pts = start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()
