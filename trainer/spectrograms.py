"""Log-mel pictures as pictures people can look at. Used by the audio objectives and evaluation."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

# Dark violet over magenta and orange to pale yellow, evenly lighter.
STOPS = np.array(
    [(13, 8, 40), (70, 18, 102), (143, 36, 105), (214, 72, 74), (246, 139, 44), (252, 246, 190)],
    dtype=float,
)


def drawn(picture: Tensor) -> Image.Image:
    """One picture (MELS, FRAMES) in [-1, 1]: low bands at the bottom, loud is light."""
    loudness = ((picture.float().flip(0) + 1) / 2).clamp(0, 1).numpy() * (len(STOPS) - 1)
    planes = [np.interp(loudness, np.arange(len(STOPS)), STOPS[:, plane]) for plane in range(3)]
    return Image.fromarray(np.stack(planes, -1).round().astype(np.uint8))
