"""A variational autoencoder of latents with words: one vector z for a whole picture. Torch; used by
the generator `vae` and its objective.

Four parts (Kingma & Welling, 2014, arXiv:1312.6114; Sohn et al., 2015, "Learning structured output
representation using deep conditional generative models"): an encoder q(z | picture), a learned
prior p(z | words), a painter (z, words) -> latents, and a restorer that takes a damaged picture's
latents, and what the painter made of their z, back to the clean ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators.nn import folders, painter
from generators.nn.painter import Painter, PerceptronBlock, Reading

MAX_DEVIATION = 3.0  # of the prior and the posterior: exp beyond it helps nobody


@dataclass(frozen=True, slots=True)
class Shape:
    """What the net is made from: its `config.json`."""

    buckets: int = 5120
    word_width: int = 80
    chance: int = 64  # width of z
    width: int = 208  # of the painter's perceptron
    encoder_width: int = 152
    prior_width: int = 96
    finish: int = 24  # channels of the painter's convolutions
    restorer_width: int = 32
    channels: int = 8  # of the latents
    side: int = 8  # of the latents

    def painter(self) -> painter.Shape:
        """The painter's part of it."""
        return painter.Shape(
            buckets=self.buckets,
            table_width=32,
            word_width=self.word_width,
            chance=self.chance,
            width=self.width,
            finish=self.finish,
            channels=self.channels,
            side=self.side,
        )


class Gaussian(nn.Module):
    """A vector to the mean and the logarithm of the deviation of z."""

    def __init__(self, inputs: int, width: int, chance: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.block = PerceptronBlock(width)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 2 * chance)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs) -> mean and log deviation, (B, chance) each."""
        mean, log_deviation = self.leave(self.norm(self.block(self.enter(x)))).chunk(2, 1)
        return mean, MAX_DEVIATION * torch.tanh(log_deviation / MAX_DEVIATION)


class Restorer(nn.Module):
    """Damaged latents and a painter's idea of them -> clean latents, as a correction."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2 * channels, width, 3, padding=1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, damaged: Tensor, painted: Tensor) -> Tensor:
        x = F.gelu(self.enter(torch.cat([damaged, painted], 1)))
        return damaged + self.leave(F.gelu(self.mix(x)) + x)


class WordVae(nn.Module):
    """All four parts, and the reading of the words that two of them share."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.reading = Reading(shape.painter())
        self.painter = Painter(shape.painter())
        size = shape.channels * shape.side**2
        self.encoder = Gaussian(size, shape.encoder_width, shape.chance)
        self.prior = Gaussian(self.reading.width, shape.prior_width, shape.chance)
        self.restorer = Restorer(shape.channels, shape.restorer_width)

    def encode(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) -> mean and log deviation of z, (B, chance) each."""
        return self.encoder(latents.flatten(1))

    def imagine(self, noise: Tensor, ids: Tensor) -> Tensor:
        """noise (B, chance) ~ N(0, 1) under words ids (B, W, K) -> latents (B, C, h, w)."""
        reading = self.reading(ids)
        mean, log_deviation = self.prior(reading)
        return self.painter(mean + log_deviation.exp() * noise, reading)

    def paint(self, z: Tensor, ids: Tensor) -> Tensor:
        """z (B, chance) of pictures under words ids (B, W, K) -> latents (B, C, h, w)."""
        return self.painter(z, self.reading(ids))

    def restore(self, damaged: Tensor, ids: Tensor) -> Tensor:
        """Damaged latents (B, C, h, w) -> clean ones; ids (B, W, K), those of "" if unknown."""
        mean, _ = self.encode(damaged)
        return self.restorer(damaged, self.paint(mean, ids))


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> WordVae:
    """The net of a weights folder, ready for use. Raises WeightsError where it is none."""
    return folders.load(
        folder, lambda config: WordVae(Shape(**config)), "VAE of ours", device, dtype
    )


def save(net: WordVae, folder: Path) -> None:
    """Write the net in float16."""
    folders.save(net, asdict(net.shape), folder)
