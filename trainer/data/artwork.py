"""Invented artwork of any size: coloured glyphs and shapes in layers, with hard edges.

The starter pictures are 128 pixels wide; what a picture four times that of a 64 pixel one should
look like has to be learned elsewhere. Glyphs are outlines: they can be drawn at any size. The fonts
are the DejaVu family that matplotlib brings along. Used by the objective `super_resolution`.
"""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SUPERSAMPLING = 2
FONTS = ("DejaVuSans-Bold", "DejaVuSans", "DejaVuSerif-Bold", "DejaVuSansMono-BoldOblique")
LETTERS = "ABCDEFGHKMPQRSWXYZabdefghkmqrsty0123456789&@#?!%$"
SYMBOL_FONT = "DejaVuSans"  # the only one that has them all
SYMBOLS = (
    "☀☁☂☃★☆☎☏☘☠☢☣☮☯☹☺☻☼☽☾♀♂♔♕♖♗♘♙♚♛♜♝♞♟♠♡♢♣♤♥♦♧♨♩♪♫♬♭♯♻♾⚀⚁⚂⚃⚄⚅⚐⚑⚒⚓⚔⚖⚙⚛⚜⚡✂✆✈✉"
    "✌✍✎✏✒✓✔✖✙✚✜✝✡✢✣✤✦✧✪✫✬✭✮✯✰✱✲✳✴✵✶✷✸✹✺✻✼✽✾✿❀❁❂❃❄❅❆❇❈❉❊❋❍❖❤❥❦❧➔➘➙➚➛➜➝➞➟➠➢➣➤➥➦➧➨➳➵➸➺➻➼➽➾"
)


def draw(seed: int, size: int) -> Image.Image:
    """A picture of `size` x `size` pixels, RGB; the same for the same seed and size."""
    rng = random.Random(seed)
    side = size * SUPERSAMPLING
    plain = rng.random() < 0.6
    picture = Image.new("RGB", (side, side), "white" if plain else _colour(rng))
    if rng.random() < 0.15:
        picture = _texture(rng, size).resize((side, side), Image.Resampling.NEAREST)
    for _ in range(rng.randint(2, 7)):
        mask = _glyph(rng, side) if rng.random() < 0.55 else _shape(rng, side)
        if rng.random() < 0.3:  # an outline, as much of artwork has
            width = 2 * rng.randint(1, max(1, side // 100)) + 1
            picture.paste(_dark(rng), mask=mask.filter(ImageFilter.MaxFilter(width)))
        picture.paste(_fill(rng, side), mask=mask)
    return picture.resize((size, size), Image.Resampling.BOX)


def _glyph(rng: random.Random, side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    height = int(side * rng.uniform(0.12, 0.9))
    place = (rng.uniform(-0.1, 0.8) * side, rng.uniform(-0.2, 0.7) * side)
    if rng.random() < 0.6:
        glyph, font = rng.choice(SYMBOLS), _font(SYMBOL_FONT, height)
    else:
        glyph, font = rng.choice(LETTERS), _font(rng.choice(FONTS), height)
    ImageDraw.Draw(mask).text(place, glyph, 255, font=font)
    turn = rng.choice((0, 0, rng.uniform(-180, 180)))
    return mask.rotate(turn, Image.Resampling.BICUBIC) if turn else mask


def _shape(rng: random.Random, side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    x, y = (rng.uniform(-0.1, 0.8) * side for _ in range(2))
    width, height = (rng.uniform(0.04, 0.7) * side for _ in range(2))
    box = (x, y, x + width, y + height)
    thickness = rng.randint(2, max(3, side // 24))
    kind = rng.randrange(6)
    if kind == 0:
        pen.ellipse(box, fill=255)
    elif kind == 1:
        pen.ellipse(box, outline=255, width=thickness)
    elif kind == 2:
        pen.rounded_rectangle(box, radius=rng.uniform(0, 0.4) * min(width, height), fill=255)
    elif kind == 3:
        pen.arc(box, rng.uniform(0, 360), rng.uniform(0, 360), fill=255, width=thickness)
    elif kind == 4:
        points = [(rng.uniform(0, 1) * side, rng.uniform(0, 1) * side) for _ in range(3)]
        pen.line(points, fill=255, width=thickness, joint="curve")
    else:
        corners = [
            (x + rng.uniform(0, 1) * width, y + rng.uniform(0, 1) * height)
            for _ in range(rng.randint(3, 6))
        ]
        pen.polygon(corners, fill=255)
    return mask


def _fill(rng: random.Random, side: int) -> Image.Image:
    """One colour, or a gradient between two, at times with a soft light."""
    first = _colour(rng)
    if rng.random() < 0.5:
        return Image.new("RGB", (side, side), first)
    ramp = Image.linear_gradient("L") if rng.random() < 0.6 else Image.radial_gradient("L")
    ramp = ramp.rotate(90 * rng.randrange(4)).resize((side, side), Image.Resampling.BICUBIC)
    near = tuple(max(0, min(255, channel + rng.randint(-90, 90))) for channel in first)
    second = near if rng.random() < 0.7 else _colour(rng)
    return Image.composite(
        Image.new("RGB", (side, side), first), Image.new("RGB", (side, side), second), ramp
    )


def _texture(rng: random.Random, side: int) -> Image.Image:
    """Cloudy noise whose power falls with the square of frequency, as in photographs: where nothing
    can be known, the net is to stay near interpolation."""
    noise = np.random.default_rng(rng.getrandbits(32))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij"))
    amplitude = 1 / np.maximum(frequency, 1 / side)
    layers = []
    for _ in range(3):
        spectrum = np.fft.rfft2(noise.standard_normal((side, side))) * amplitude
        field = np.fft.irfft2(spectrum, s=(side, side))
        layers.append(field / field.std())
    colours = np.stack(layers, -1) * 0.3 + layers[0][..., None] * 0.7
    contrast, level = rng.uniform(20, 55), np.array(_colour(rng))
    return Image.fromarray((colours * contrast + level).clip(0, 255).astype(np.uint8))


def _colour(rng: random.Random) -> tuple[int, int, int]:
    vivid = Image.new("HSV", (1, 1), (rng.randrange(256), rng.randrange(256), rng.randrange(256)))
    pixel = vivid.convert("RGB").getpixel((0, 0))
    return tuple(int(channel) for channel in pixel)  # type: ignore[return-value, union-attr]


def _dark(rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = _colour(rng)
    return red // 3, green // 3, blue // 3


@lru_cache(maxsize=64)
def _font(name: str, height: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), height)
