"""More pictures out of few: the same thing in another colour, and a little moved.

A model that saw each thing once learns pictures by heart. Shown a cat in seven colours under
captions that say so, and the plain one turned, mirrored and shifted, it learns that the colour and
the pose are not the cat. Objectives ask for `expanded`; nothing is written to disk. No torch but
for the tensor that `Pictures` holds.
"""

from __future__ import annotations

import colorsys
import random
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image

from trainer.data import images
from trainer.data.captions import Captions
from trainer.data.compositions import is_held_out
from trainer.data.images import Pictures
from trainer.data.order import step_seed
from trainer.objective import Setting

HUES: Final = {  # degrees; the middle of what people call by that name, as artwork uses it
    "red": (357, "红色"),
    "orange": (28, "橙色"),
    "yellow": (50, "黄色"),
    "green": (105, "绿色"),
    "blue": (212, "蓝色"),
    "purple": (272, "紫色"),
    "pink": (322, "粉色"),
}
JITTER: Final = 7.0  # degrees around the middle
KEPT: Final = 0.3  # of a hue's distance from the dominant one: shading survives
SAME: Final = 70.0  # degrees from the dominant hue that still count as the same material
SIDED: Final = frozenset({  # things that mean something else in a mirror
    "left", "right", "east", "west", "arrow", "button", "letter", "letters", "clock", "flag",
    "number", "numbers", "keycap", "text", "sign", "symbol", "japanese", "zodiac",
})  # fmt: skip
COLOUR_WORDS: Final = frozenset([*HUES, "black", "white", "brown", "gray", "grey", "light"])
MAX_TURN, MAX_SHIFT, SCALES = 6.0, 0.03, (0.92, 1.04)  # degrees, of the side, factors


def load_train(setting: Setting, size: int, moved: int, recoloured: int) -> Pictures:
    """The train split as the recipe asks for it: as it is, or `expanded`."""
    if not moved and not recoloured:
        return images.load(setting.dataset, "train", size)
    return expanded(setting.dataset, size, moved, recoloured, setting.recipe.seed)


def expanded(folder: Path, size: int, moved: int, recoloured: int, seed: int) -> Pictures:
    """The train split at `size` px: every picture, `moved` more poses, `recoloured` more colours.

    Recoloured ones carry their colour in `Pictures.colours`; held-out compositions never occur.
    A pure function of its arguments, whatever the process.
    """
    large = images.load(folder, "train", 2 * size)
    pixels: list[np.ndarray] = []
    captions: list[Captions] = []
    colours: list[dict[str, str]] = []
    for index in range(len(large)):
        picture = Image.fromarray(large.pixels[index].permute(1, 2, 0).numpy())
        rng = random.Random(step_seed(seed, "expanded", index))
        known = large.captions[index]
        mirrored = not _words(known) & SIDED
        made: list[tuple[Image.Image, str | None]] = [(picture, None)]
        made += [(picture, None) for _ in range(moved)]
        made += [(recolour(picture, c, rng), c) for c in _fitting(known, rng, recoloured)]
        for number, (variant, colour) in enumerate(made):
            posed = move(variant, rng, mirrored) if number else variant
            pixels.append(np.asarray(posed.resize((size, size), Image.Resampling.BOX)))
            captions.append(known if colour is None else without_colours(known))
            colours.append({} if colour is None else {"en": colour, "zh": HUES[colour][1]})
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return Pictures(stacked, captions, colours)


def recolour(picture: Image.Image, colour: str, rng: random.Random) -> Image.Image:
    """The picture with its main material in this colour; other materials, whites and lines stay.

    A picture without colours of its own (an elephant) is tinted.
    """
    hsv = np.asarray(picture.convert("HSV")).astype(np.float32)
    hue, saturation, value = hsv[..., 0] * (360 / 256), hsv[..., 1], hsv[..., 2]
    target = HUES[colour][0] + rng.uniform(-JITTER, JITTER)
    coloured = (saturation > 60) & (value > 60)
    ink = (saturation > 30) | (value < 225)
    main = _main_hue(hue[coloured], saturation[coloured])
    if main is None or coloured.sum() < 0.3 * ink.sum():
        touched = ink & (value > 50)
        away = np.zeros_like(hue)
        saturation = np.where(touched, np.maximum(saturation, 150), saturation)
        value = np.where(touched, np.minimum(value * 1.1 + 25, 250), value)
    else:
        away = (hue - main + 180) % 360 - 180
        touched = (np.abs(away) < SAME) & (saturation > 25) & (value > 40)
        saturation = np.where(touched, np.minimum(saturation * 1.05 + 15, 255), saturation)
        value = np.where(touched & coloured, np.minimum(value * 1.05 + 20, 255), value)
    hue = np.where(touched, target + KEPT * away, hue) % 360
    changed = np.stack([hue * (256 / 360), saturation, value], axis=-1)
    return Image.fromarray(changed.astype(np.uint8), "HSV").convert("RGB")


def _main_hue(hue: np.ndarray, saturation: np.ndarray) -> float | None:
    """The middle of the most saturated mass on the colour circle, in degrees."""
    if len(hue) < 50:
        return None
    counts, _ = np.histogram(hue, bins=36, range=(0, 360), weights=saturation)
    ring = counts + np.roll(counts, 1) + np.roll(counts, -1)
    return float(ring.argmax() * 10 + 5)


def move(picture: Image.Image, rng: random.Random, mirrored: bool) -> Image.Image:
    """A little turned, shifted and scaled on white; mirrored half of the time where allowed."""
    if mirrored and rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    side = picture.width
    turn = rng.gauss(0, MAX_TURN / 2) if mirrored else 0.0
    angle, scale = np.radians(np.clip(turn, -MAX_TURN, MAX_TURN)), rng.uniform(*SCALES)
    dx, dy = (rng.uniform(-MAX_SHIFT, MAX_SHIFT) * side for _ in range(2))
    cos, sin, middle = np.cos(angle) / scale, np.sin(angle) / scale, side / 2
    across = (cos, sin, middle - cos * (middle + dx) - sin * (middle + dy))
    down = (-sin, cos, middle + sin * (middle + dx) - cos * (middle + dy))
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        tuple(float(number) for number in (*across, *down)),
        Image.Resampling.BICUBIC,
        fillcolor=(255, 255, 255),
    )


def without_colours(captions: Captions) -> Captions:
    """The phrases without the colours they name, which a recoloured picture no longer has."""
    name = captions.get("en", [""])[0].casefold().split()
    coloured = bool(name) and name[0] in COLOUR_WORDS
    cleaned: Captions = {}
    for language, phrases in captions.items():
        kept = [_without_colour(phrase, language, coloured) for phrase in phrases]
        cleaned[language] = list(dict.fromkeys(phrase for phrase in kept if phrase))
    return cleaned


def _without_colour(phrase: str, language: str, coloured: bool) -> str:
    if language == "en":
        return " ".join(w for w in phrase.split() if w.casefold() not in COLOUR_WORDS)
    for word in (chinese for _, chinese in HUES.values()):
        phrase = phrase.replace(word, "")
    return phrase[1:] if coloured and phrase[:1] in "红橙黄绿蓝紫粉黑白棕灰" else phrase


def _fitting(captions: Captions, rng: random.Random, count: int) -> list[str]:
    """Colours this picture may be shown in: none for flags, whose colours are what they are."""
    english = captions.get("en", [])
    if "flag" in _words(captions):
        return []
    own = {word for phrase in english for word in phrase.casefold().split()}
    free = [c for c in HUES if c not in own and not is_held_out(c, english)]
    return rng.sample(free, min(count, len(free)))


def _words(captions: Captions) -> set[str]:
    return {
        word
        for phrase in captions.get("en", [])
        for word in phrase.casefold().replace("-", " ").replace(":", " ").split()
    }


def ink_hue(picture: Image.Image) -> str | None:
    """The colour word of the most ink, or None where no colour dominates. For the evaluation."""
    pixels = np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BOX)) / 255.0
    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels.reshape(-1, 3)])
    hue, saturation, value = hsv[:, 0] * 360, hsv[:, 1], hsv[:, 2]
    ink = (saturation > 0.15) | (value < 0.8)
    bright = ink & (saturation > 0.3) & (value > 0.3)
    if ink.sum() < 40 or bright.sum() < 0.3 * ink.sum():
        return None
    votes = dict.fromkeys(HUES, 0)
    for degrees in hue[bright]:
        nearest = min(HUES, key=lambda c: abs((degrees - HUES[c][0] + 180) % 360 - 180))
        votes[nearest] += 1
    best = max(votes, key=lambda colour: votes[colour])
    return best if votes[best] > 0.4 * bright.sum() else None
