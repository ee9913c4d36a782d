"""A measured figure and what it is to be read against. No torch: the command line draws these too.

A number alone says nothing: every figure names its reference (the same measure on real examples, or
what a simple method achieves) and, where one was agreed, the target. Everybody may import this.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of an evaluation.

    `name` is a stable identifier (`name_top5`); `unit` is "dB", "nats" ... or empty for shares
    (always in [0, 1], never a percentage) and plain numbers. `reference` has the unit of `value`.
    `target` is absolute: one relative to the reference is multiplied out by whoever measures.
    """

    name: str
    value: float
    unit: str = ""
    reference_name: str = ""
    reference: float | None = None
    better: Better = "higher"
    target: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        if self.better == "higher":
            return self.value >= self.target
        return self.value <= self.target

    @property
    def missed_by(self) -> float:
        """How far the value is from its target, in its own unit; 0 where it is reached."""
        if self.target is None or self.met:
            return 0.0
        return abs(self.target - self.value)

    def to_json(self) -> dict[str, Any]:
        """Plain values, `met` included."""
        return {**asdict(self), "met": self.met}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A measure that does not apply to these weights, and why, in a sentence."""

    name: str
    reason: str


def shown(value: float | None, unit: str = "") -> str:
    """A value for people: about three significant digits, no exponents, its unit."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if 10 <= abs(value) < 1000:
        text = f"{value:.1f}"
    return f"{text} {unit}".rstrip()
