"""Pictures as tensors and back: [-1, 1] inside, eight bits outside. Torch; for the families."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def of_pictures(pictures: Sequence[Image.Image]) -> Tensor:
    """Pictures of one size and mode (RGB or RGBA) -> (B, C, H, W) float32 in [-1, 1]."""
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(pixels: Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [-1, 1], or a little beyond -> RGB pictures."""
    values = ((pixels.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    arrays = values.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [Image.fromarray(array) for array in arrays]
