"""Which examples an optimizer step sees: a pure function of (seed, step), the same on any machine.

Nothing about the sampler or the random generators has to be stored in a checkpoint: step 1,001 of a
resumed run asks the same questions as step 1,001 of an uninterrupted one.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np


def step_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) from any number of parts, independent for any two different tuples."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def examples_of_step(step: int, batch_size: int, dataset_size: int, seed: int) -> list[int]:
    """Indices for one (micro-)step: consecutive stretches of a fresh permutation per epoch.

    Every example is seen once an epoch; a batch may span two epochs, and a dataset smaller than a
    batch is simply seen several times.
    """
    start = step * batch_size
    positions = range(start, start + batch_size)
    return [
        int(_permutation(position // dataset_size, dataset_size, seed)[position % dataset_size])
        for position in positions
    ]


@lru_cache(maxsize=8)
def _permutation(epoch: int, size: int, seed: int) -> np.ndarray:
    return np.random.default_rng(step_seed(seed, "order", epoch)).permutation(size)
