"""Still pictures: opened within bounds, the ladder of formats, squares for emoji and stickers.

Runs in the child only (`bot.services.fitting.__main__`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from bot.services.fitting import marks
from bot.services.fitting.search import best_that_fits
from bot.services.fitting.values import MAX_INPUT_PIXELS, Fitted, Unfit

_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_WEBP_MAX_PX: Final = 16_383
# Below these one sees what was lost: better a link to the whole picture.
_WEBP_QUALITIES: Final = tuple(range(95, 49, -5))
_JPEG_QUALITIES: Final = tuple(range(90, 39, -5))
# WebP's trade of time for bytes; nobody waits half a minute for a few per cent.
_LARGE_PIXELS: Final = 3_000_000
_THOROUGH, _QUICK, _LOSSLESS_EFFORT = 4, 1, 30
_NOISE: Final = 8  # of 255: opacity that nobody sees

_UNREADABLE = (
    "The picture cannot be read; PNG, JPEG, WebP, GIF and BMP are known.",
    "无法读取这张图片；支持 PNG、JPEG、WebP、GIF 和 BMP。",
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture's first frame, as RGB or RGBA, and what it says of its origin."""

    image: Image.Image
    marks: Mapping[str, str]


def opened(data: bytes) -> Image.Image:
    """The picture with its header read and its size judged, not yet decoded. Raises Unfit."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Exception as error:  # decoders raise whatever broken data makes them stumble over
        raise Unfit(*_UNREADABLE) from error
    if image.width * image.height > MAX_INPUT_PIXELS:
        raise Unfit(
            f"The picture has {image.width} x {image.height} pixels; at most"
            f" {MAX_INPUT_PIXELS} in all can be worked on.",
            f"图片有 {image.width} × {image.height} 像素；总共最多能处理 {MAX_INPUT_PIXELS} 像素。",
        )
    return image


def still(data: bytes) -> Opened:
    """The first frame of a picture. Raises Unfit."""
    image = opened(data)
    try:
        image.load()
        return Opened(plain(image), marks.of_picture(image.info))
    except Exception as error:  # so do they here
        raise Unfit(*_UNREADABLE) from error


def plain(image: Image.Image) -> Image.Image:
    """The pixels as RGBA where any is transparent, else as RGB."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    with_alpha = image.convert("RGBA")
    opaque = with_alpha.getchannel("A").getextrema() == (255, 255)
    return with_alpha.convert("RGB") if opaque else with_alpha


def ladder(data: bytes, *, limit_bytes: int, stem: str) -> Fitted:
    """The picture in a format that fits: lossless WebP, WebP, JPEG. Raises Unfit where none does,
    or where it moves (a single frame of it would be another thing)."""
    if getattr(opened(data), "n_frames", 1) > 1:
        raise Unfit("The animation is too large.", "动画太大。")
    shown = still(data)
    image, exif = shown.image, marks.exif(shown.marks)
    size = {"width": image.width, "height": image.height}
    if max(image.size) <= _WEBP_MAX_PX:
        effort = _QUICK if image.width * image.height > _LARGE_PIXELS else _THOROUGH
        whole = _saved(image, "WEBP", exif, lossless=True, quality=_LOSSLESS_EFFORT, method=effort)
        if len(whole) <= limit_bytes:
            return Fitted(whole, "image/webp", f"{stem}.webp", {**size, "how": "webp lossless"})
        found = best_that_fits(
            _WEBP_QUALITIES,
            lambda quality: _webp(image, exif, quality, effort),
            limit_bytes,
        )
        if found is not None:
            how = f"webp {found[0]}"
            return Fitted(found[1], "image/webp", f"{stem}.webp", {**size, "how": how})
    opaque = on_white(image)
    found = best_that_fits(
        _JPEG_QUALITIES, lambda quality: _saved(opaque, "JPEG", exif, quality=quality), limit_bytes
    )
    if found is None:
        raise Unfit("The picture is too large.", "图片太大。")
    how = f"jpeg {found[0]}"
    return Fitted(found[1], "image/jpeg", f"{stem}.jpg", {**size, "how": how})


def on_white(image: Image.Image) -> Image.Image:
    """The picture without transparency, on white as a page would show it."""
    if image.mode == "RGB":
        return image
    paper = Image.new("RGB", image.size, (255, 255, 255))
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def inhabited(image: Image.Image) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) around all that is not transparent; everything where the
    whole picture is."""
    whole = (0, 0, *image.size)
    if image.mode != "RGBA":
        return whole
    return image.getchannel("A").point(lambda opacity: opacity > _NOISE and 255).getbbox() or whole


def squared(image: Image.Image, box: tuple[int, int, int, int], side: int) -> Image.Image:
    """What is in the box, as large as it gets in a square of `side` pixels, with transparent edges
    where it is not square itself."""
    part = image.crop(box)
    scale = side / max(part.size)
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    # Through premultiplied colours (Pillow does so for RGBA): else edges get a dark or white rim.
    part = part.resize(size, Image.Resampling.LANCZOS)
    if part.size == (side, side):
        return part
    canvas = Image.new("RGBA", (side, side))
    canvas.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return canvas


def _webp(image: Image.Image, exif: bytes, quality: int, effort: int) -> bytes | None:
    """A lossy WebP; None where the picture has more detail than the format holds at this quality
    (libwebp's PARTITION0_OVERFLOW)."""
    try:
        return _saved(image, "WEBP", exif, quality=quality, method=effort)
    except ValueError:
        return None


def _saved(image: Image.Image, image_format: str, exif: bytes, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, exif=exif, **options)
    return buffer.getvalue()
