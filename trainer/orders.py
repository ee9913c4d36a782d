"""What a run is asked to do, when it is asked to stop, and what it does now and then. No torch."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from trainer.contract import Recipe


@dataclass(frozen=True, slots=True)
class Order:
    """What to train, on what, and where to put it."""

    recipe: Recipe
    recipe_name: str
    dataset: Path
    out: Path
    resume: bool = False
    init: Path | None = None  # folder of the weights to start from
    init_name: str = ""  # what people call them
    tensorboard: bool = False


@dataclass(slots=True)
class StopRequest:
    """Set by SIGTERM or SIGINT; the loop looks at it between two steps."""

    signal_number: int = 0

    def listen(self) -> None:
        """Take the two signals from here on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number


@dataclass(slots=True)
class Chore:
    """Something done every so many seconds, and never for more than `share` of the time."""

    every_s: float
    do: Callable[[], None]
    share: float = 1.0
    due_at: float = 0.0

    def __post_init__(self) -> None:
        self.due_at = time.monotonic() + self.every_s

    def run(self) -> None:
        """Do it, and set when it is due again."""
        began = time.monotonic()
        self.do()
        ended = time.monotonic()
        self.due_at = ended + max(self.every_s, (ended - began) * (1 / self.share - 1))
