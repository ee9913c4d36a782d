"""The best that fits: a search over a ladder of choices, best first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Choice = TypeVar("Choice")


def best_that_fits(
    choices: Sequence[Choice], encode: Callable[[Choice], bytes | None], limit_bytes: int
) -> tuple[Choice, bytes] | None:
    """The first choice whose bytes fit, with them; None where not even the last one fits.

    `choices` go from best to smallest. Sizes are taken to fall along the way, so that halving finds
    the first that fits in about log2(n) encodings; where they do not quite fall, what is returned
    fits all the same. `encode` gives None for what cannot be encoded so.
    """
    found: tuple[Choice, bytes] | None = None
    low, high = 0, len(choices)
    while low < high:
        middle = (low + high) // 2
        data = encode(choices[middle])
        if data is not None and len(data) <= limit_bytes:
            found, high = (choices[middle], data), middle
        else:
            low = middle + 1
    return found
