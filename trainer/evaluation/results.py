"""What an evaluation brings home: figures, what was skipped, sheets to look at, texts to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from trainer.evaluation.figures import Figure, Skipped

Tick = Callable[[int], None]
"""So many more of the planned items (pictures, texts, sounds) are done."""


@dataclass(slots=True)
class Results:
    """Filled by the measures one after the other.

    `sheets` become files of this name beside the weights, `captions` is what each shows.
    `texts` are samples for the card.
    """

    figures: list[Figure] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    sheets: dict[str, Image.Image] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def add_sheet(self, name: str, picture: Image.Image, caption: str) -> None:
        """A picture to be saved as `name`."""
        self.sheets[name], self.captions[name] = picture, caption

    def join(self, other: Results) -> None:
        """Take over what another measure found."""
        self.figures += other.figures
        self.skipped += other.skipped
        self.sheets |= other.sheets
        self.captions |= other.captions
        self.texts += other.texts
