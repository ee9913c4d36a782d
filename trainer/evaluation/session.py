"""One model's drawings while they are judged: what the measures of drawings share. Torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from trainer.evaluation.figures import Better, Figure
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.protocols import Question
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.subject import Subject, as_picture

FOUR_SEEDS = 4
JUDGE_ON_REAL = "the judge on the real pictures"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many prompts of each kind are drawn."""

    names: int
    four_seeds: int  # keywords, and names, drawn from four seeds
    chinese: int
    misspelt: int
    paraphrases: int
    compositions: int
    from_captions: int  # for the distances of whole sets

    @property
    def total(self) -> int:
        """Pictures to draw, at most."""
        asked = self.names + self.chinese + self.misspelt + self.paraphrases + self.compositions
        return asked + 2 * FOUR_SEEDS * self.four_seeds + self.from_captions


FULL = Plan(100, 100, 100, 50, 100, 50, 600)
QUICK = Plan(100, 12, 10, 10, 40, 50, 64)


@dataclass(slots=True)
class Session:
    """Subject, pictures and plan, and the results as they come in."""

    subject: Subject
    gallery: Gallery
    plan: Plan
    tick: Tick
    results: Results = field(default_factory=Results)
    sheet: list[tuple[Image.Image, str]] = field(default_factory=list)  # drawings with prompts

    def draw(self, prompts: Sequence[str], seeds: Sequence[int] | None = None) -> Tensor:
        """A drawing of each prompt at the judge's size, from the seed beside it (0 if none)."""
        size = self.gallery.judge.size
        return self.subject.draw(prompts, seeds or [0] * len(prompts), size, self.tick)

    def keep(self, questions: Sequence[Question], drawn: Tensor, count: int) -> None:
        """Some of the drawings for the sample sheet: evenly from the list, whatever they show."""
        step = max(1, len(questions) // count)
        for index in range(0, len(questions), step)[:count]:
            self.sheet.append((as_picture(drawn[index]), questions[index].prompt))

    def add(
        self, name: str, value: float, reference: float, reference_name: str = JUDGE_ON_REAL,
        better: Better = "higher", target: float | None = None, note: str = "",
    ) -> None:  # fmt: skip
        """One more figure."""
        self.results.figures.append(
            Figure(name, value, "", reference_name, reference, better, target, note)
        )
