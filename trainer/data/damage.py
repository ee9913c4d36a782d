"""Pictures as they suffer in the world: noise, blur, JPEG, lost pixels. A pure function of a seed.

Pairs of a damaged picture and its original teach a model to clean uploads; the same kinds, on
pictures held out, measure it. Used by the objective `latent_vae`.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageFilter

KINDS = ("noise", "blur", "jpeg", "dots")


def damaged(picture: Image.Image, seed: int) -> Image.Image:
    """The RGB picture with one or two kinds of damage."""
    rng = random.Random(seed)
    for kind in rng.sample(KINDS, rng.choice((1, 1, 2))):
        picture = _damage(picture, kind, rng)
    return picture


def noisy(picture: Image.Image, deviation: float, seed: int) -> Image.Image:
    """The picture with normal noise; `deviation` in steps of 255."""
    pixels = np.asarray(picture, dtype=np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape) * deviation
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))


def _damage(picture: Image.Image, kind: str, rng: random.Random) -> Image.Image:
    seed = rng.getrandbits(32)
    if kind == "noise":
        return noisy(picture, rng.uniform(8, 70), seed)
    if kind == "blur":
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.8)))
    if kind == "jpeg":
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=rng.randint(6, 40))
        return Image.open(buffer).convert("RGB")
    pixels = np.array(picture)
    lost = np.random.default_rng(seed).random(pixels.shape[:2]) < rng.uniform(0.02, 0.2)
    pixels[lost] = rng.choice((0, 255))
    return Image.fromarray(pixels)
