"""What noise a picture is drawn from: a seed's own, a relative's, or a place on a closed walk.

Used by the passes of a pipeline. Every ingredient is drawn by its own seeded CPU generator, so a
picture's noise depends on its recipe alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from generators.contract import MAX_SEED
from generators.runtime import rng
from generators.sampling import slerp


@dataclass(frozen=True, slots=True)
class Noise:
    """How to make one picture's noise.

    `seed` draws the base. A relative mixes in the noises of other seeds, one after another, each by
    a strength along the sphere (`generators.params.variations`). A frame of a loop then moves to
    its place on a circle around that.
    """

    seed: int
    steps: tuple[tuple[int, float], ...] = ()  # (seed, strength), oldest first
    orbit: tuple[float, float, float] | None = None  # weights of the base and of two companions

    @property
    def companions(self) -> tuple[int, ...]:
        """The seeds of what is mixed in, in the order `mixed` wants it."""
        seeds = tuple(seed for seed, _ in self.steps)
        if self.orbit is not None:
            seeds += (_companion(self.seed, 1), _companion(self.seed, 2))
        return seeds

    def mixed(self, own: Tensor, companions: Sequence[Tensor]) -> Tensor:
        """The noise, from the base and its companions; all of one shape, linear in the noise."""
        rest = list(companions)
        for _, strength in self.steps:
            own = slerp(own, rest.pop(0), strength)
        if self.orbit is not None:
            base, first, second = self.orbit
            own = base * own + first * rest[0] + second * rest[1]
        return own

    def drawn(self, shape: torch.Size, like: Tensor) -> list[Tensor]:
        """The companions as unit noise of this shape, on `like`'s device and in its format."""
        return [
            torch.randn(shape, generator=rng(seed), dtype=like.dtype).to(like.device)
            for seed in self.companions
        ]


def orbit(frame: int, frames: int, motion: float) -> tuple[float, float, float]:
    """The weights of frame `frame` of a loop: a circle on the sphere of noises, so that the last
    frame is as near to the first as any two neighbours are.

    The circle lies around the base at the angle `motion` * 90 degrees: cos(a) of the base, sin(a)
    of a point that goes once round through two companions. Independent unit noises weighted like
    this, whose squares sum to 1, are unit noise again.
    """
    angle = motion * math.pi / 2
    turn = 2 * math.pi * frame / frames
    return math.cos(angle), math.sin(angle) * math.cos(turn), math.sin(angle) * math.sin(turn)


def _companion(seed: int, index: int) -> int:
    """A seed that belongs to this one, and is not its neighbour's."""
    digest = hashlib.sha256(f"loop {index} of {seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & MAX_SEED
