"""Sounds as media: WAV, Ogg/Opus and a picture of them. No torch; PyAV (FFmpeg) encodes Opus.

WAV is what music programs open, Opus what chats play in place, the picture what can be seen of a
sound without playing it: its waveform over its spectrogram. Each says in itself that it was
generated; equal samples and provenance are equal bytes.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from generators.contract import Media
from generators.media import Provenance

Samples = NDArray[np.float32]  # (T,) in [-1, 1], mono
Facts = Mapping[str, int | float | str]

OPUS_BIT_RATE = 64_000
WIDTH, WAVE_HEIGHT, TONE_HEIGHT, MARGIN, HEADER = 720, 110, 250, 20, 46  # pixels
WINDOW = 1024  # samples of a spectrogram's column
LOWEST_HZ = 50.0
RANGE_DB = 72.0
PAPER, INK, FAINT, WAVE = (250, 249, 246), (43, 38, 64), (139, 134, 156), (117, 62, 196)
# Paper over lilac, magenta and orange to dark plum, evenly darker: silence is light.
STOPS = np.array(
    [
        (250, 249, 246),
        (219, 210, 240),
        (203, 150, 216),
        (226, 92, 128),
        (140, 36, 100),
        (44, 14, 62),
    ],
    dtype=np.float64,
)


def clip(
    samples: Samples, rate: int, title: str, facts: Facts, provenance: Provenance
) -> list[Media]:
    """The WAV as an item, then its Opus rendition and its plot.

    `title` is written into the plot; `facts` are told beside the duration in s and the rate in Hz.
    """
    told = {**facts, "duration_s": round(len(samples) / rate, 3), "sample_rate": rate}
    picture = plot(samples, rate, title)
    size = {"width": picture.width, "height": picture.height}
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=provenance.png_info())
    return [
        Media(wav(samples, rate, provenance), "audio/wav", told),
        Media(opus(samples, rate, provenance), "audio/ogg", told, role="rendition"),
        Media(buffer.getvalue(), "image/png", size, role="plot"),
    ]


def wav(samples: Samples, rate: int, provenance: Provenance) -> bytes:
    """RIFF WAVE, 16 bit PCM, mono, with the provenance as its comment (`LIST INFO ICMT`)."""
    head = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    comment = provenance.sentence.encode() + b"\0"
    told = b"INFO" + _chunk(b"ISFT", b"Atelier\0") + _chunk(b"ICMT", comment)
    body = _chunk(b"fmt ", head) + _chunk(b"LIST", told) + _chunk(b"data", pcm(samples).tobytes())
    return _chunk(b"RIFF", b"WAVE" + body)


def opus(samples: Samples, rate: int, provenance: Provenance) -> bytes:
    """Opus in Ogg, what chats call a voice message; `rate` is one Opus knows (8, 12, 16, 24, 48
    kHz)."""
    buffer = io.BytesIO()
    options = {"fflags": "+bitexact"}  # else the stream's serial number would be random
    with av.open(buffer, "w", format="ogg", options=options) as container:
        stream = container.add_stream("libopus", rate=rate, layout="mono")
        stream.bit_rate = OPUS_BIT_RATE
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.metadata["comment"] = provenance.sentence
        frame = av.AudioFrame.from_ndarray(pcm(samples)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def pcm(samples: Samples) -> NDArray[np.int16]:
    """Samples as little-endian 16 bit integers."""
    return (np.clip(samples, -1, 1) * 32767).round().astype("<i2")


def plot(samples: Samples, rate: int, title: str) -> Image.Image:
    """The waveform over the spectrogram (frequency on a logarithmic axis), with seconds below."""
    height = HEADER + WAVE_HEIGHT + TONE_HEIGHT + 2 * MARGIN
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    wide = WIDTH - 2 * MARGIN
    picture.paste(_wave(samples, wide), (MARGIN, HEADER))
    picture.paste(_tones(samples, rate, wide), (MARGIN, HEADER + WAVE_HEIGHT))
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, 12), title, INK, _font(22))
    _ticks(draw, len(samples) / rate, wide, height)
    return picture


def _wave(samples: Samples, wide: int) -> Image.Image:
    """The waveform as a filled shape, drawn at twice the size for smooth edges."""
    scale = 2
    canvas = Image.new("RGB", (wide * scale, WAVE_HEIGHT * scale), PAPER)
    draw = ImageDraw.Draw(canvas)
    edges = np.linspace(0, len(samples), wide * scale + 1).astype(int)
    middle, reach = WAVE_HEIGHT * scale / 2, (WAVE_HEIGHT / 2 - 8) * scale
    for x, (start, end) in enumerate(pairwise(edges)):
        part = samples[start : max(end, start + 1)]
        top, bottom = middle - reach * float(part.max()), middle - reach * float(part.min())
        draw.line((x, top - 1, x, bottom + 1), WAVE)
    return canvas.resize((wide, WAVE_HEIGHT), Image.Resampling.BOX)


def _tones(samples: Samples, rate: int, wide: int) -> Image.Image:
    """The spectrogram: loud is dark, low is at the bottom."""
    padded = np.pad(samples.astype(np.float64), WINDOW // 2)
    starts = np.linspace(0, len(padded) - WINDOW, wide // 2).astype(int)
    frames = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)).T ** 2 + 1e-12  # (bins, columns)
    hz = np.geomspace(rate / 2, LOWEST_HZ, TONE_HEIGHT)
    bins = hz * WINDOW / rate
    below = np.floor(bins).astype(int).clip(0, len(power) - 2)
    share = (bins - below)[:, None]
    decibels = 10 * np.log10((1 - share) * power[below] + share * power[below + 1])
    loudness = ((decibels - decibels.max()) / RANGE_DB + 1).clip(0, 1) * (len(STOPS) - 1)
    planes = [np.interp(loudness, np.arange(len(STOPS)), STOPS[:, plane]) for plane in range(3)]
    pixels = np.stack(planes, -1).round().astype(np.uint8)
    return Image.fromarray(pixels).resize((wide, TONE_HEIGHT), Image.Resampling.BILINEAR)


def _ticks(draw: ImageDraw.ImageDraw, duration_s: float, wide: int, height: int) -> None:
    """Seconds along the lower edge."""
    step = 0.1 if duration_s <= 0.6 else 0.25 if duration_s <= 1.2 else 0.5
    for tick in range(int(duration_s / step + 1e-6) + 1):
        x = MARGIN + wide * tick * step / duration_s
        draw.line((x, height - 2 * MARGIN, x, height - 2 * MARGIN + 5), FAINT)
        anchor = "la" if tick == 0 else "ma"
        draw.text((x, height - 2 * MARGIN + 9), f"{tick * step:g} s", FAINT, _font(14), anchor)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow brings along: the same on every machine."""
    return ImageFont.load_default(size)


def _chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk, padded to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
