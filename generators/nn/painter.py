"""Words and a vector of chance to a picture's latents in one step: the net that the GAN and the VAE
share. Torch; used by the generators `gan` and `vae` and by their objectives.

Most of it is a residual perceptron that makes all 8 x 8 places at once: a picture costs under a
million multiplications, where an attention layer over 64 places costs twenty, so that thousands of
pictures are learned in minutes on a CPU. Two convolutions at the end, their channels scaled by what
was asked for (Perez et al., 2018, arXiv:1709.07871), make neighbours agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from generators.nn import folders
from generators.nn.words import HashedWords
from generators.weights import part


@dataclass(frozen=True, slots=True)
class Shape:
    """What a painter is made from."""

    buckets: int = 8192  # of the word table
    table_width: int = 40
    word_width: int = 128
    slots: int = 3  # readings of a prompt: what it is, in which colour, ...
    chance: int = 64  # width of z
    width: int = 288  # of the perceptron
    blocks: int = 2
    finish: int = 32  # channels of the convolutions
    channels: int = 8  # of the latents
    side: int = 8  # of the latents


class Reading(nn.Module):
    """A prompt as one vector: hashed words, gathered by a few learned questions.

    A mean over the words would let "a picture of a" outweigh "cat"; each slot instead weighs the
    words by how much they have to say to it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words = HashedWords(shape.word_width, shape.buckets, shape.table_width, layers=0)
        self.questions = nn.Linear(shape.word_width, shape.slots)
        self.width = shape.slots * shape.word_width

    def ids(self, texts: Sequence[str]) -> Tensor:
        """What `forward` reads: (B, W, K) int64."""
        return self.words.ids(texts)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, W, K) -> (B, slots * word_width)."""
        _, words, mask = self.words(ids)  # (B, W, D), (B, W)
        weights = self.questions(words).masked_fill(~mask[..., None], -torch.inf).softmax(1)
        return torch.einsum("bws,bwd->bsd", weights, words).flatten(1)


class PerceptronBlock(nn.Module):
    """x + W2 gelu(W1 norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.first(self.norm(x))))


class Painter(nn.Module):
    """(z, reading) -> latents."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        asked = shape.slots * shape.word_width
        self.enter = nn.Linear(asked + shape.chance, shape.width)
        self.blocks = nn.Sequential(*(PerceptronBlock(shape.width) for _ in range(shape.blocks)))
        self.norm = nn.LayerNorm(shape.width)
        self.places = nn.Linear(shape.width, shape.channels * shape.side**2)
        self.scales = nn.Linear(shape.width, 2 * shape.finish)
        self.widen = nn.Conv2d(shape.channels, shape.finish, 3, padding=1)
        self.mix = nn.Conv2d(shape.finish, shape.finish, 3, padding=1)
        self.narrow = nn.Conv2d(shape.finish, shape.channels, 3, padding=1)
        nn.init.zeros_(self.scales.weight)
        nn.init.zeros_(self.scales.bias)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, z: Tensor, reading: Tensor) -> Tensor:
        """z (B, chance) ~ N(0, 1), reading (B, ...) -> latents (B, channels, side, side)."""
        x = self.blocks(self.enter(torch.cat([reading, z], 1)))
        x = self.norm(x)
        side = self.shape.side
        rough = self.places(x).view(-1, self.shape.channels, side, side)
        gain, shift = self.scales(x)[..., None, None].chunk(2, 1)
        fine = F.gelu(self.widen(rough)) * (1 + gain) + shift
        return rough + self.narrow(F.gelu(self.mix(fine)))


class WordPainter(nn.Module):
    """Words and painter together: all that the GAN ships."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.reading = Reading(shape)
        self.painter = Painter(shape)

    def forward(self, z: Tensor, ids: Tensor) -> Tensor:
        """z (B, chance), ids (B, W, K) -> latents (B, channels, side, side)."""
        return self.painter(z, self.reading(ids))


def load(folder: Path, device: torch.device, dtype: torch.dtype) -> WordPainter:
    """The net of a weights folder, ready for use. Raises WeightsError where it is none."""
    return folders.load(
        folder, lambda config: WordPainter(Shape(**config)), "painter", device, dtype
    )


def save(net: WordPainter, folder: Path) -> None:
    """Write the net in float16."""
    folders.save(net, asdict(net.shape), folder)


def load_autoencoder(folder: Path, device: torch.device, dtype: torch.dtype) -> AutoencoderKL:
    """The autoencoder whose latents these weights paint: their part `autoencoder`."""
    vae = AutoencoderKL.from_pretrained(part(folder, "autoencoder"), torch_dtype=dtype)
    return vae.requires_grad_(False).to(device, memory_format=torch.channels_last).eval()


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Latents (B, C, h, w) of unit variance -> pixels (B, 3, H, W) in [-1, 1]."""
    scaled = (latents / vae.config.scaling_factor).to(vae.dtype)
    return vae.decode(scaled.contiguous(memory_format=torch.channels_last)).sample.clamp(-1, 1)


@torch.no_grad()
def encode(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Pixels (B, 3, H, W) in [-1, 1] -> latents (B, C, h, w) of unit variance."""
    ready = pixels.to(vae.device, vae.dtype, memory_format=torch.channels_last)
    return vae.encode(ready).latent_dist.mean * vae.config.scaling_factor
