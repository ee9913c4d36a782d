"""The white paper around a drawing made transparent, so that an emoji stands on any background.

Models that draw emoji draw them on white; a chat is often dark. Only what is white and reaches the
edge goes: white inside the drawing stays. Runs in the child only.
"""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFilter

_WHITE: Final = 232  # the darkest of red, green and blue that still counts as paper
_FRAMED: Final = 0.7  # share of the edge that has to be paper: drawings may touch it
_LEAST, _MOST = 0.02, 0.99  # share of the picture that paper may be: else it is no drawing on it
_EDGE_PX: Final = 2  # how far a drawing's soft edge reaches into it
_PAPER, _DRAWN, _LOOKED_AT = 0, 255, 128


def lifted(image: Image.Image) -> Image.Image:
    """The drawing without its paper, as RGBA; the picture itself where it is no drawing on white.

    Soft edges were mixed with white: they become as transparent as they are light, in the colour
    that gives the same again on white.
    """
    if image.mode != "RGB":
        return image
    darkest = _darkest(image)
    paper = _reached(darkest.point(lambda value: _PAPER if value >= _WHITE else _DRAWN))
    if paper is None:
        return image
    near = paper.filter(ImageFilter.MaxFilter(2 * _EDGE_PX + 1))
    mixed = ImageChops.subtract(near, paper)
    opacity = Image.composite(ImageChops.invert(darkest), Image.new("L", image.size, 255), mixed)
    opacity.paste(0, mask=paper)
    unmixed = Image.merge("RGB", [_unmixed(plane, opacity) for plane in image.split()])
    made = Image.composite(unmixed, image, mixed)
    made.putalpha(opacity)
    return made


def _darkest(image: Image.Image) -> Image.Image:
    red, green, blue = image.split()
    return ImageChops.darker(ImageChops.darker(red, green), blue)


def _reached(drawn: Image.Image) -> Image.Image | None:
    """A mask (255) of the paper that reaches the edge; None where the picture is no drawing on it.

    `drawn`: 0 where a pixel is white, 255 elsewhere."""
    width, height = drawn.size
    edge = Image.new("L", drawn.size, 255)
    edge.paste(0, (1, 1, max(1, width - 1), max(1, height - 1)))
    counted = drawn.histogram(mask=edge)
    if counted[_PAPER] < _FRAMED * sum(counted):
        return None
    framed = Image.new("L", (width + 2, height + 2), _PAPER)  # joins all paper at the edge
    framed.paste(drawn, (1, 1))
    ImageDraw.floodfill(framed, (0, 0), _LOOKED_AT)
    paper = framed.crop((1, 1, width + 1, height + 1)).point(
        lambda value: 255 if value == _LOOKED_AT else 0
    )
    share = paper.histogram()[255] / (width * height)
    return paper if _LEAST <= share <= _MOST else None


def _unmixed(plane: Image.Image, opacity: Image.Image) -> Image.Image:
    """(value - (1 - a) * 255) / a, where the plane was drawn with opacity a on 255."""
    made = bytes(
        max(0, min(255, round(255 - (255 - value) * 255 / a))) if a else 255
        for value, a in zip(plane.tobytes(), opacity.tobytes(), strict=True)
    )
    return Image.frombytes("L", plane.size, made)
