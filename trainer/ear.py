"""The convolutions that listen to log-mel pictures: critic, encoder and judge of the sounds. Torch.

The band axis is kept to the end, since it is what tells a violin from a bell; time is averaged.
Used by the audio objectives and by `trainer.evaluation.audio`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from generators.nn.mel import MELS
from generators.nn.one_shot import CELL, GRID, to_cells

Norm = Literal["none", "spectral", "batch"]
PLACES = 4  # waves that say which band a row is
INPUTS = CELL[0] * CELL[1] + PLACES


class Ear(nn.Module):
    """Pictures (B, MELS, FRAMES) to features (B, `width`), and all layers' outputs on the way.

    extra: channels of further pictures on the GRID, such as the comb of the pitch that was asked.
    """

    def __init__(
        self, channels: tuple[int, int, int, int], norm: Norm = "none", extra: int = 0
    ) -> None:
        super().__init__()
        inputs = (INPUTS + extra, *channels[:3])
        self.layers = nn.ModuleList()
        for index, (before, after) in enumerate(zip(inputs, channels, strict=True)):
            layer = nn.Conv2d(before, after, 3, stride=2 if index else 1, padding=1)
            self.layers.append(spectral_norm(layer) if norm == "spectral" else layer)
        kinds = nn.BatchNorm2d if norm == "batch" else nn.Identity
        self.norms = nn.ModuleList(kinds(after) for after in channels)
        self.width = channels[-1] * (MELS // CELL[0] >> 3)
        place = torch.linspace(0, torch.pi, GRID[0])
        waves = torch.stack([(order * place).cos() for order in range(1, PLACES + 1)])
        self.register_buffer("waves", waves[None, ..., None], persistent=False)  # (1, 4, H, 1)

    def forward(self, pictures: Tensor, extra: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Features and the layers' outputs; `extra` is (B, extra, *GRID)."""
        waves = self.waves.expand(len(pictures), -1, -1, GRID[1])
        parts = [to_cells(pictures), waves] + ([] if extra is None else [extra])
        x = torch.cat(parts, 1).contiguous(memory_format=torch.channels_last)
        heard = []
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = F.leaky_relu(norm(layer(x)), 0.2)
            heard.append(x)
        return x.mean(3).flatten(1), heard
