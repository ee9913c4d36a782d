"""A loss curve as the path of an SVG: a few hundred numbers that take the page's own colours.

Pure; used by `runs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Point = tuple[float, float]  # optimizer step, value

WIDTH: Final = 600
HEIGHT: Final = 160
MAX_POINTS: Final = 200
SPIKES: Final = 0.98  # the share of values that the drawing makes room for; a spike leaves it


@dataclass(frozen=True, slots=True)
class Curve:
    """`line` is what was trained on, `held_out` what was not (may be empty): `M0 5 L3 4 ...` in a
    box of WIDTH x HEIGHT. `low` to `high` are the values, `first` to `last` the steps it spans."""

    line: str
    held_out: str
    low: float
    high: float
    first: int
    last: int
    begun_at: float
    now_at: float


def curve(trained: Sequence[Point], held_out: Sequence[Point] = ()) -> Curve | None:
    """The drawing, or None for fewer than two points."""
    line = thinned(trained)
    if len(line) < 2:
        return None
    beside = thinned(held_out)
    values = sorted(value for _, value in line)
    others = [value for _, value in beside]
    low = min([values[0], *others])
    high = max([values[min(len(values) - 1, int(len(values) * SPIKES))], *others])
    first, last = line[0][0], max(line[-1][0], beside[-1][0] if beside else 0)

    def path(points: Sequence[Point]) -> str:
        return " ".join(
            f"{'L' if index else 'M'}{_share(step, first, last) * WIDTH:.1f}"
            f" {(1 - _share(value, low, high)) * HEIGHT:.1f}"
            for index, (step, value) in enumerate(points)
        )

    return Curve(
        line=path(line),
        held_out=path(beside) if len(beside) > 1 else "",
        low=low,
        high=high,
        first=int(first),
        last=int(last),
        begun_at=line[0][1],
        now_at=line[-1][1],
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most MAX_POINTS points: the means of equal stretches, so that noise calms with length."""
    size = -(-len(points) // MAX_POINTS) or 1
    stretches = [points[at : at + size] for at in range(0, len(points), size)]
    return [
        (stretch[-1][0], sum(value for _, value in stretch) / len(stretch)) for stretch in stretches
    ]


def _share(value: float, low: float, high: float) -> float:
    """Where between the two, 0 to 1; in the middle where they are the same."""
    return 0.5 if high <= low else max(0.0, min(1.0, (value - low) / (high - low)))
