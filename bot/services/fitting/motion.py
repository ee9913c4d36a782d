"""Emoji and stickers: still ones as PNG, moving ones as GIF (emoji) and animated PNG (stickers).

A still always fits at these sides; a moving one is searched for: fewer colours, then fewer frames.
Runs in the child only (`bot.services.fitting.__main__`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from bot.services.fitting import marks, paper, pictures
from bot.services.fitting.search import best_that_fits
from bot.services.fitting.values import (
    EMOJI_BYTES,
    EMOJI_PX,
    MAX_FRAMES,
    STICKER_BYTES,
    STICKER_PX,
    STICKER_S,
    Facts,
    Fitted,
    Unfit,
)

_LONGEST_EMOJI_S: Final = 60.0
_USUAL_MS: Final = 100  # of a frame that does not say how long it is shown
_SHORTEST_MS: Final = 20  # browsers slow down what claims to be faster
_OPAQUE: Final = 128  # of 255: from here on a pixel is shown, where it can only be shown or not
_PALETTE_PX: Final = 64  # side of the copies that a palette is chosen from


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of an animation and for how long it is shown."""

    image: Image.Image  # square; RGB, or RGBA where any frame has transparent pixels
    shown_ms: int


@dataclass(frozen=True, slots=True)
class Thrift:
    """How much of an animation is kept: every n-th frame, so many colours."""

    every: int
    colours: int


# From best to smallest. Colours go first: half the frames are seen at once.
_LADDER: Final = tuple(
    Thrift(every, colours) for every in (1, 2, 3, 4, 6, 8, 12) for colours in (255, 128, 64, 32)
)


def emoji(data: bytes) -> Fitted:
    """At most 256 KiB, 128x128. Raises Unfit."""
    return _made(data, EMOJI_PX, EMOJI_BYTES, _LONGEST_EMOJI_S, _gif, "emoji.gif", "image/gif")


def sticker(data: bytes) -> Fitted:
    """At most 512 KiB, exactly 320x320, at most 5 s. Raises Unfit."""
    return _made(data, STICKER_PX, STICKER_BYTES, STICKER_S, _apng, "sticker.png", "image/png")


Encode = Callable[[Sequence[Frame], int, str], bytes]  # frames, colours, where they come from


def _made(
    data: bytes,
    side: int,
    limit_bytes: int,
    longest_s: float,
    encode: Encode,
    filename: str,
    mime: str,
) -> Fitted:
    image = pictures.opened(data)
    if getattr(image, "n_frames", 1) == 1:
        return _still(data, side, limit_bytes, filename.partition(".")[0])
    frames = _frames(image, side, longest_s)
    comment = marks.sentence(marks.of_picture(image.info))
    found = best_that_fits(
        _LADDER,
        lambda thrift: encode(_thinned(frames, thrift.every), thrift.colours, comment),
        limit_bytes,
    )
    if found is None:
        raise Unfit(
            "The animation is too long to be made this small.", "动画太长，无法缩到这么小。"
        )
    thrift, moving = found
    kept = _thinned(frames, thrift.every)
    facts: Facts = {
        "width": side,
        "height": side,
        "frames": len(kept),
        "duration_s": sum(frame.shown_ms for frame in kept) / 1000,
        "how": f"every {thrift.every}, {thrift.colours} colours",
    }
    return Fitted(moving, mime, filename, facts)


def _still(data: bytes, side: int, limit_bytes: int, stem: str) -> Fitted:
    shown = pictures.still(data)
    shown.image.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
    drawing = paper.lifted(shown.image)
    square = pictures.squared(drawing, pictures.inhabited(drawing), side)
    buffer = io.BytesIO()
    square.save(buffer, "PNG", pnginfo=marks.png_info(shown.marks), optimize=True)
    if buffer.tell() > limit_bytes:  # four bytes a pixel are less, at these sides
        raise Unfit("The picture is too large.", "图片太大。")
    facts: Facts = {"width": side, "height": side, "how": "png"}
    return Fitted(buffer.getvalue(), "image/png", f"{stem}.png", facts)


def _frames(image: Image.Image, side: int, longest_s: float) -> list[Frame]:
    """The frames shown within the time, squared around what any of them holds."""
    drawn: list[tuple[Image.Image, int]] = []
    left_ms = round(longest_s * 1000)
    try:
        for index in range(min(image.n_frames, MAX_FRAMES)):  # type: ignore[attr-defined]
            image.seek(index)
            shown_ms = round(float(image.info.get("duration") or _USUAL_MS))
            shown_ms = min(max(_SHORTEST_MS, shown_ms), left_ms)
            if shown_ms < _SHORTEST_MS:
                break
            frame = image.convert("RGBA")
            frame.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
            drawn.append((frame, shown_ms))
            left_ms -= shown_ms
    except Exception as error:  # decoders raise whatever broken data makes them stumble over
        raise Unfit("The animation cannot be read.", "无法读取这段动画。") from error
    boxes = [pictures.inhabited(frame) for frame, _ in drawn]
    box = (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
    squares = [pictures.squared(frame, box, side) for frame, _ in drawn]
    if all(square.getchannel("A").getextrema() == (255, 255) for square in squares):
        squares = [square.convert("RGB") for square in squares]
    return [Frame(square, shown_ms) for square, (_, shown_ms) in zip(squares, drawn, strict=True)]


def _thinned(frames: Sequence[Frame], every: int) -> list[Frame]:
    """Every n-th frame, each shown for as long as those it stands for."""
    return [
        Frame(frames[start].image, sum(one.shown_ms for one in frames[start : start + every]))
        for start in range(0, len(frames), every)
    ]


def _gif(frames: Sequence[Frame], colours: int, comment: str) -> bytes:
    options = {"comment": comment.encode()} if comment else {}
    return _saved(frames, colours, "GIF", disposal=2, optimize=False, **options)


def _apng(frames: Sequence[Frame], colours: int, comment: str) -> bytes:
    info = marks.png_info({"Software": "Atelier", "Source": comment} if comment else {})
    return _saved(frames, colours, "PNG", disposal=0, blend=0, pnginfo=info)


def _saved(frames: Sequence[Frame], colours: int, image_format: str, **options: Any) -> bytes:
    """All frames with one palette, so that nothing flickers; repeats for ever."""
    first, *others = _indexed([frame.image for frame in frames], colours)
    if "transparency" in first.info:
        options["transparency"] = colours
    buffer = io.BytesIO()
    first.save(
        buffer,
        image_format,
        save_all=True,
        append_images=others,
        duration=[frame.shown_ms for frame in frames],
        loop=0,
        **options,
    )
    return buffer.getvalue()


def _indexed(images: Sequence[Image.Image], colours: int) -> list[Image.Image]:
    """The pictures in so many common colours; what is transparent gets one more of its own."""
    palette = _common_palette(images, colours)
    entries = (palette.getpalette() or [])[: 3 * colours]
    one_more = [*entries, *[0] * (3 * (colours + 1) - len(entries))]
    indexed = []
    for image in images:
        flat = pictures.on_white(image).quantize(palette=palette, dither=Image.Dither.NONE)
        if image.mode == "RGBA":
            flat.putpalette(one_more)
            holes = image.getchannel("A").point(lambda value: value < _OPAQUE and 255)
            flat.paste(colours, mask=holes)
            flat.info["transparency"] = colours
        indexed.append(flat)
    return indexed


def _common_palette(images: Sequence[Image.Image], colours: int) -> Image.Image:
    """The best colours of all pictures together, from small copies: a palette needs no detail."""
    sheet = Image.new("RGB", (_PALETTE_PX * len(images), _PALETTE_PX))
    for index, image in enumerate(images):
        small = pictures.on_white(image).resize((_PALETTE_PX, _PALETTE_PX))
        sheet.paste(small, (index * _PALETTE_PX, 0))
    return sheet.quantize(colours, method=Image.Quantize.MEDIANCUT)
