"""A closed loop of pictures as MP4, GIF and WebM. No torch; PyAV (FFmpeg) and Pillow encode.

MP4 (H.264, 4:2:0, index in front) plays everywhere, GIF where no video does, WebM (VP9) is the
smallest. One encoder thread, no time stamps of the clock and no random ids: equal frames and
provenance are equal bytes.

Source: https://pyav.org/docs/stable/ ; FFmpeg's `movflags +faststart` and `fflags +bitexact`,
https://ffmpeg.org/ffmpeg-formats.html
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from PIL import Image

from generators.contract import Media
from generators.media import Provenance

_H264 = {"crf": "18", "preset": "medium", "threads": "1"}
_VP9 = {"crf": "28", "b": "0", "threads": "1", "row-mt": "0", "cpu-used": "4", "deadline": "good"}
_GIF_TICK_S = 0.01  # GIF counts in hundredths of a second
_GIF_MIN_TICKS = 2  # browsers slow down what claims to be faster


def loop(frames: Sequence[Image.Image], fps: int, provenance: Provenance) -> list[Media]:
    """The MP4 as an item, then its GIF and WebM renditions.

    `frames` are RGB pictures of one size; the last one flows into the first. Sides that are odd
    lose a pixel in the videos, which 4:2:0 demands.
    """
    facts = {
        "width": frames[0].width,
        "height": frames[0].height,
        "fps": fps,
        "frames": len(frames),
        "duration_s": round(len(frames) / fps, 3),
    }
    mp4 = _video(frames, fps, "libx264", "mp4", _H264, {"movflags": "+faststart"}, provenance)
    webm = _video(frames, fps, "libvpx-vp9", "webm", _VP9, {}, provenance)
    return [
        Media(mp4, "video/mp4", facts),
        Media(_gif(frames, fps, provenance), "image/gif", facts, role="rendition"),
        Media(webm, "video/webm", facts, role="rendition"),
    ]


def _video(
    frames: Sequence[Image.Image],
    fps: int,
    codec: str,
    container_format: str,
    codec_options: Mapping[str, str],
    container_options: Mapping[str, str],
    provenance: Provenance,
) -> bytes:
    """Through a file, since an index in front can only be written by reading again."""
    with tempfile.TemporaryDirectory(prefix="atelier-") as folder:
        path = Path(folder) / f"loop.{container_format}"
        options = {"fflags": "+bitexact", **container_options}
        with av.open(path, "w", format=container_format, options=options) as container:
            container.metadata["comment"] = provenance.sentence
            added = container.add_stream(codec, rate=Fraction(fps), options=dict(codec_options))
            stream = cast(av.VideoStream, added)
            stream.width = frames[0].width // 2 * 2
            stream.height = frames[0].height // 2 * 2
            stream.pix_fmt = "yuv420p"
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            for picture in frames:
                whole = picture.crop((0, 0, stream.width, stream.height)).convert("RGB")
                picture_frame = av.VideoFrame.from_image(whole)  # type: ignore[no-untyped-call]
                container.mux(stream.encode(picture_frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def _gif(frames: Sequence[Image.Image], fps: int, provenance: Provenance) -> bytes:
    """One palette for all frames, so that nothing flickers; repeats for ever."""
    palette = _common_palette(frames)
    first, *others = [
        frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames
    ]
    ticks = max(_GIF_MIN_TICKS, round(1 / fps / _GIF_TICK_S))
    buffer = io.BytesIO()
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=others,
        duration=int(ticks * 1000 * _GIF_TICK_S),
        loop=0,
        comment=provenance.sentence.encode(),
    )
    return buffer.getvalue()


def _common_palette(frames: Sequence[Image.Image]) -> Image.Image:
    """256 colours of all frames together, from small copies: a palette needs no detail."""
    side = 64
    sheet = Image.new("RGB", (side * len(frames), side))
    for index, frame in enumerate(frames):
        small = frame.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        sheet.paste(small, (index * side, 0))
    return sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
