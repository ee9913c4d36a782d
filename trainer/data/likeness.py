"""Finding pictures that look the same though their bytes differ: resized, recompressed, re-saved.

A difference hash (each pixel of a 9 x 8 thumbnail brighter than its neighbour, or not: 64 bits)
finds candidates without comparing everything with everything, and a 12 x 12 colour thumbnail
decides: a blue heart and a red one share the hash and are not the same. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

BANDS = 4  # of 16 bits: two hashes with at most 3 differing bits share one of them exactly
MAX_BITS = 3
NOISE = 4  # of 255: a flat area must not become random bits by recompression
MAX_MEAN = 2.5  # mean difference of thumbnail values, of 255: what JPEG at quality 75 may change
MAX_CELL = 24  # and the largest one: a small object that moved is another picture


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a picture looks like, in 440 bytes."""

    bits: int  # 64
    thumbnail: np.ndarray  # (12, 12, 3) uint8


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a picture that is known to decode; transparency counts as white."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    grey = flat.convert("L").resize((9, 8), Image.Resampling.BOX)
    values = np.asarray(grey).astype(int)
    signs = (values[:, 1:] > values[:, :-1] + NOISE).reshape(-1)
    bits = int.from_bytes(np.packbits(signs).tobytes(), "big")
    return Fingerprint(bits, np.asarray(flat.resize((12, 12), Image.Resampling.BOX)))


def alike(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two pictures look the same to a person who does not look for differences."""
    if (one.bits ^ other.bits).bit_count() > MAX_BITS:
        return False
    difference = np.abs(one.thumbnail.astype(int) - other.thumbnail.astype(int))
    return bool(difference.mean() <= MAX_MEAN and difference.max() <= MAX_CELL)


class Likeness:
    """The pictures seen so far, by the bands of their hashes."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], list[tuple[str, Fingerprint]]] = {}

    def add(self, name: str, print_: Fingerprint) -> str | None:
        """Take in a picture; the name of the first one it looks the same as, or None."""
        keys = [(band, print_.bits >> (16 * band) & 0xFFFF) for band in range(BANDS)]
        for key in keys:
            for other, seen in self._seen.get(key, ()):
                if alike(print_, seen):
                    return other
        for key in keys:
            self._seen.setdefault(key, []).append((name, print_))
        return None
