"""A small convolutional net that enlarges pictures two or four times: what lies between the pixels
of flat artwork. Torch; used by the generators `super_resolution` and `diffusion` and the trainer.

Residual blocks at the small size (Lim et al., 2017, arXiv:1707.02921, section 3), one shuffle of
channels into pixels at the end (Shi et al., 2016, arXiv:1609.05158), and only what bicubic
interpolation misses is predicted (Kim et al., 2016, arXiv:1511.04587): a net that knows nothing
gives the bicubic picture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.nn import folders

SCALES = (2, 4)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the net is made from: its `config.json`."""

    channels: int = 40
    blocks: int = 8

    @property
    def reach(self) -> int:
        """How far a pixel's surroundings decide about it, in pixels of the small picture."""
        return 2 * self.blocks + 4  # two 3 x 3 a block; head, tail and bicubic


class Block(nn.Module):
    """x + conv(relu(conv(x))), without any norm: contrast is not to be lost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(x)))


class Enlarger(nn.Module):
    """Shared body, one tail for each scale."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.channels
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width) for _ in range(shape.blocks)))
        self.twofold = nn.Sequential(nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2))
        self.fourfold = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.PixelShuffle(2),  # (B, width / 2, 2 H, 2 W)
            nn.ReLU(),
            nn.Conv2d(width // 2, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )
        for last in (self.twofold[0], self.fourfold[3]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def features(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, channels, H, W)."""
        x = self.head(pixels)
        return x + self.body(x)

    def finish(self, features: Tensor, pixels: Tensor, scale: int) -> Tensor:
        """The picture `scale` (2 or 4) times as large: (B, 3, scale H, scale W), not clamped."""
        tail = self.twofold if scale == 2 else self.fourfold
        return bicubic(pixels, scale) + tail(features)

    def forward(self, pixels: Tensor, scale: int) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, scale H, scale W), not clamped; scale 2 or 4."""
        return self.finish(self.features(pixels), pixels, scale)


def bicubic(pixels: Tensor, scale: int) -> Tensor:
    """Enlarged by bicubic interpolation (Keys, 1981): (B, C, H, W) -> (B, C, scale H, scale W)."""
    return F.interpolate(
        pixels.float(), scale_factor=scale, mode="bicubic", align_corners=False
    ).to(pixels)


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> Enlarger:
    """The net of a weights folder, ready for use. Raises WeightsError where it is none."""
    net = folders.load(
        folder, lambda config: Enlarger(Shape(**config)), "super-resolution net", device, dtype
    )
    return net.to(memory_format=torch.channels_last)


def save(net: Enlarger, folder: Path) -> None:
    """Write the net in float16."""
    folders.save(net, asdict(net.shape), folder)


@torch.inference_mode()
def enlarge(net: nn.Module, pixels: Tensor, scale: int) -> Tensor:
    """Pictures `scale` (2 or 4) times as wide and high.

    pixels (B, 3, H, W) in [-1, 1] -> (B, 3, scale H, scale W) in [-1, 1], in the dtype they came.
    The whole batch is in memory at once: large pictures come in tiles
    (`generators.models.super_resolution`). Raises ValueError for another scale.
    """
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {SCALES}, not {scale}")
    weight = net.head.weight
    small = pixels.to(weight).contiguous(memory_format=torch.channels_last)
    return net(small, scale).clamp(-1, 1).to(pixels)
