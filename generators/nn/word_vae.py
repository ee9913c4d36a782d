"""A variational autoencoder of latents with words: one vector z for a whole picture. Torch; used by
the generator `vae` and its objective.

Four parts (Kingma & Welling, 2014, arXiv:1312.6114; Sohn et al., 2015, "Learning structured output
representation using deep conditional generative models"): an encoder q(z | picture), a learned
prior p(z | words), a painter (z, words) -> latents, and a restorer that takes a damaged picture's
latents back to the clean ones. The restorer knows nothing of z: what is left of a picture in a few
numbers is less than what noise leaves of it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
    restorer_width: int = 64
    restorer_blocks: int = 3
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


class RestorerBlock(nn.Module):
    """x + W gelu(conv(x) + V mean(x)): neighbours, and what the whole picture suffers from."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Linear(width, width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        everywhere = self.far(x.mean((2, 3)))[:, :, None, None]
        return x + self.mix(F.gelu(self.near(x) + everywhere))


class Restorer(nn.Module):
    """Damaged latents -> clean ones, as a correction that begins as nothing."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(RestorerBlock(width) for _ in range(blocks)))
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.register_load_state_dict_pre_hook(_without_first_restorer)

    def forward(self, damaged: Tensor) -> Tensor:
        return damaged + self.leave(F.gelu(self.blocks(self.enter(damaged))))


def _without_first_restorer(
    restorer: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Weights from before it had blocks: theirs is left out, this one stays as it began."""
    if f"{prefix}mix.weight" in state:
        for name in [name for name in state if name.startswith(prefix)]:
            del state[name]
        state.update({prefix + name: value for name, value in restorer.state_dict().items()})


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
        self.restorer = Restorer(shape.channels, shape.restorer_width, shape.restorer_blocks)

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

    def restore(self, damaged: Tensor) -> Tensor:
        """Damaged latents (B, C, h, w) -> clean ones."""
        restored: Tensor = self.restorer(damaged)
        return restored


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> WordVae:
    """The net of a weights folder, ready for use. Raises WeightsError where it is none."""
    return folders.load(
        folder, lambda config: WordVae(_shape(config)), "VAE of ours", device, dtype
    )


def _shape(config: dict[str, Any]) -> Shape:
    """What a `config.json` says; a restorer from before it had blocks has none of these widths."""
    if "restorer_blocks" not in config:
        config = {name: value for name, value in config.items() if name != "restorer_width"}
    return Shape(**config)


def save(net: WordVae, folder: Path) -> None:
    """Write the net in float16."""
    folders.save(net, asdict(net.shape), folder)
