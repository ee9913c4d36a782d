"""Measures of any model that draws from words: recognised, composed, diverse, not copied. Torch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainer.data.order import step_seed
from trainer.data.recolour import HUES, ink_hue, recolour
from trainer.evaluation import distances, protocols
from trainer.evaluation.figures import Better, Figure, Skipped
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.protocols import Question
from trainer.evaluation.results import Results, Tick
from trainer.evaluation.sheets import labelled, side_by_side
from trainer.evaluation.subject import Subject, as_picture, as_tensor

FOUR_SEEDS = 4
ON_SHEET = (24, 8)  # names and compositions
COLUMNS = 8
SHOWN_PAIRS = 24
CLOSE = 0.05  # a drawing nearer to a training picture than this share of held-out ones is close
JUDGE_ON_REAL = "the judge on the real pictures"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many prompts of each kind are drawn."""

    names: int
    four_seeds: int  # of the names, drawn from four seeds
    chinese: int
    misspelt: int
    paraphrases: int
    compositions: int
    from_captions: int  # for the distances of whole sets

    @property
    def total(self) -> int:
        """Pictures to draw, at most."""
        asked = self.names + self.chinese + self.misspelt + self.paraphrases + self.compositions
        return asked + FOUR_SEEDS * self.four_seeds + self.from_captions


FULL = Plan(100, 100, 100, 50, 100, 50, 600)
QUICK = Plan(100, 8, 10, 10, 40, 50, 64)


class Drawings:
    """One model's answers to the protocols."""

    def __init__(self, subject: Subject, gallery: Gallery, plan: Plan, tick: Tick) -> None:
        self.subject, self.gallery, self.plan, self.tick = subject, gallery, plan, tick
        self.results = Results()
        self._sheet: list[tuple[Image.Image, str]] = []

    def measure(self) -> Results:
        """Everything, in the order of the table."""
        if self.gallery.picture_of is None:
            reason = "The judge knows the starter emoji; this dataset holds other pictures."
            for name in ("name_top5", "paraphrase_top5", "composition_rate"):
                self.results.skipped.append(Skipped(name, reason))
        else:
            self._names()
            self._paraphrases()
            self._compositions()
        self._diversity()
        self._sets()
        if self._sheet:
            pictures, labels = zip(*self._sheet, strict=True)
            caption = "The first names and compositions of the fixed lists, seed 0, not chosen"
            self.results.add_sheet("samples.png", labelled(pictures, labels, COLUMNS), caption)
        return self.results

    # --- Is it the thing? ---------------------------------------------------------------------

    def _names(self) -> None:
        questions = protocols.name_questions(self.gallery.captions, self.gallery.trained)
        questions = questions[: self.plan.names]
        drawn = self._draw([question.prompt for question in questions])
        self._keep(questions, drawn, ON_SHEET[0])
        right = self._answered(questions, drawn)
        real = self._answered(questions, self._real(questions))
        first = self._answered(questions, drawn, guesses=1)
        self._add(
            "name_top1", _mean(first), _mean(self._answered(questions, self._real(questions), 1))
        )
        self._add(
            "name_top5", _mean(right), _mean(real), target=0.8,
            note=f"{len(questions)} common emoji names, one drawing each: the thing is among the "
            "judge's first five guesses",
        )  # fmt: skip
        self._chinese(questions)
        self._misspelt(questions, right)

    def _chinese(self, questions: Sequence[Question]) -> None:
        translated = [
            (question, names[0])
            for question in questions
            if (names := self.gallery.captions[min(question.accepted)].get("zh"))
        ][: self.plan.chinese]
        if translated:
            asked, prompts = zip(*translated, strict=True)
            right = self._answered(asked, self._draw(prompts))
            real = _mean(self._answered(asked, self._real(asked)))
            self._add("chinese_name_top5", _mean(right), real, note="the same names in Chinese")

    def _misspelt(self, questions: Sequence[Question], right: Sequence[bool]) -> None:
        """Against the same names spelled well."""
        count = self.plan.misspelt
        asked, prompts = questions[:count], [misspelt(q.prompt) for q in questions[:count]]
        self._add(
            "misspelt_name_top5", _mean(self._answered(asked, self._draw(prompts))),
            _mean(right[:count]), reference_name="the same names without the slip",
            note="one letter of the longest word dropped",
        )  # fmt: skip

    def _paraphrases(self) -> None:
        questions = protocols.paraphrase_questions(
            self.gallery.captions, self.gallery.trained, count=self.plan.paraphrases
        )
        drawn = self._draw([question.prompt for question in questions])
        self._add(
            "paraphrase_top5", _mean(self._answered(questions, drawn)),
            _mean(self._answered(questions, self._real(questions))), target=0.5,
            note=f"{len(questions)} pairs of keywords that never stood together in training: a "
            "picture that carries both is among the first five guesses",
        )  # fmt: skip

    def _compositions(self) -> None:
        questions = protocols.composition_questions(self.gallery.captions)
        questions = questions[: self.plan.compositions]
        drawn = self._draw([question.prompt for question in questions])
        self._keep(questions, drawn, ON_SHEET[1])
        thing = self._answered(questions, drawn)
        colour = [ink_hue(as_picture(p)) == q.colour for p, q in zip(drawn, questions, strict=True)]
        recoloured = self._recoloured(questions)
        real_thing = self._answered(questions, recoloured)
        real_colour = [
            ink_hue(as_picture(p)) == q.colour for p, q in zip(recoloured, questions, strict=True)
        ]
        name = "real pictures recoloured"
        self._add("composition_thing", _mean(thing), _mean(real_thing), reference_name=name)
        self._add("composition_colour", _mean(colour), _mean(real_colour), reference_name=name)
        self._add(
            "composition_rate", _mean(_both(thing, colour)), _mean(_both(real_thing, real_colour)),
            reference_name=name, target=0.4,
            note=f"{len(questions)} things in colours no picture shows them in: the thing among "
            "the first five guesses and most ink of the colour",
        )  # fmt: skip

    def _answered(
        self, questions: Sequence[Question], drawn: Tensor, guesses: int = 5
    ) -> list[bool]:
        """Whether an accepted picture is among the judge's first guesses, for each drawing."""
        said = self.gallery.guesses(drawn)
        return [
            bool(question.accepted & set(guess[:guesses]))
            for question, guess in zip(questions, said, strict=True)
        ]

    def _real(self, questions: Sequence[Question]) -> Tensor:
        """A real picture that answers each question."""
        return torch.stack([self.gallery.picture(min(q.accepted)) for q in questions])

    def _recoloured(self, questions: Sequence[Question]) -> Tensor:
        pictures = []
        for question in questions:
            rng = random.Random(step_seed("composition", question.prompt))
            real = as_picture(self.gallery.picture(min(question.accepted)))
            tinted = recolour(real, question.colour, rng) if question.colour in HUES else real
            pictures.append(as_tensor(tinted, self.gallery.judge.size))
        return torch.stack(pictures)

    # --- Is it more than one picture, and not a known one? ------------------------------------

    def _diversity(self) -> None:
        trained = [
            captions["en"][0]
            for captions, was in zip(self.gallery.captions, self.gallery.trained, strict=True)
            if was and captions.get("en")
        ]
        known = {name.casefold() for name in trained}
        names = [name for name in protocols.COMMON_NAMES if name.casefold() in known]
        names = (names or sorted(trained))[: self.plan.four_seeds]
        groups = protocols.keyword_groups(self.gallery.captions)
        if not names or not groups:
            self.results.skipped.append(Skipped("diversity", "There are too few captions."))
            return
        prompts = [name for name in names for _ in range(FOUR_SEEDS)]
        seeds = [seed for _ in names for seed in range(FOUR_SEEDS)]
        drawn = self._draw(prompts, seeds)
        features = self.gallery.judge.features(drawn)
        real = distances.mean_spread([self.gallery.features[torch.tensor(g)] for g in groups])
        self._add(
            "diversity", distances.mean_spread(features.split(FOUR_SEEDS)), real,
            reference_name="real pictures that share a keyword", target=0.5 * real,
            note=f"mean distance between four drawings of one name, over {len(names)} names",
        )  # fmt: skip

    def _sets(self) -> None:
        """Distances of whole sets, and to the nearest training picture."""
        trained = [i for i, was in enumerate(self.gallery.trained) if was]
        captioned = [i for i in trained if self.gallery.captions[i].get("en")]
        rng = random.Random(step_seed("from_captions"))
        asked = rng.sample(captioned, min(self.plan.from_captions, len(captioned)))
        if len(asked) < 3:
            self.results.skipped.append(Skipped("fid", "There are too few captions."))
            return
        prompts = [self.gallery.captions[i]["en"][0] for i in asked]
        drawn = self._draw(prompts, [step_seed(prompt) % 2**32 for prompt in prompts])
        features = self.gallery.judge.features(drawn)
        everything = list(range(len(self.gallery.captions)))
        some = set(rng.sample(everything, min(len(asked), len(everything) // 2)))
        rest = self._features([i for i in everything if i not in some])
        half = self._features(sorted(some))
        self._set_distances(rest, half, features)
        self._inception(drawn, sorted(some))
        self._memorisation(drawn, prompts, features, trained)

    def _features(self, indices: Sequence[int]) -> Tensor:
        return self.gallery.features[torch.tensor(indices)]

    def _set_distances(self, rest: Tensor, half: Tensor, features: Tensor) -> None:
        name = "real pictures against the other real ones"
        same = features[: len(half)]
        self._add(
            "fid", distances.frechet_distance(rest, same), distances.frechet_distance(rest, half),
            reference_name=name, better="lower",
            note=f"Fréchet distance of {len(same)} drawings from captions to {len(rest)} real "
            "pictures, in the judge's features",
        )  # fmt: skip
        self._add(
            "kid", distances.kernel_distance(rest, same), distances.kernel_distance(rest, half),
            reference_name=name, better="lower", note="kernel distance of the same sets",
        )  # fmt: skip

    def _inception(self, drawn: Tensor, real: Sequence[int]) -> None:
        made = self.gallery.judge.logits(drawn[: len(real)])
        self._add(
            "inception_score", distances.inception_score(made),
            distances.inception_score(self.gallery.logits[torch.tensor(real)]),
            reference_name="as many real pictures",
            note="how certain and how different the judge's answers are, in pictures",
        )  # fmt: skip

    def _memorisation(
        self, drawn: Tensor, prompts: Sequence[str], features: Tensor, trained: Sequence[int]
    ) -> None:
        known = self.gallery.train_features
        found, places = distances.nearest(features, known)
        held_out = self.gallery.held_out_features
        if len(held_out):
            real, _ = distances.nearest(held_out, known)
            name = "held-out pictures"
            self._add("nearest_training", float(found.median()), float(real.median()), name,
                      note="median distance to the nearest training picture")  # fmt: skip
            bound = float(real.quantile(CLOSE))
            self._add("close_to_training", float((found < bound).float().mean()), CLOSE, name,
                      better="lower", note="share of drawings nearer to a training picture than "
                      "all but a twentieth of the held-out ones")  # fmt: skip
        order = found.argsort()[:SHOWN_PAIRS].tolist()
        pairs = [
            (as_picture(drawn[i]), as_picture(self.gallery.picture(trained[int(places[i])])))
            for i in order
        ]
        labels = [f"{prompts[i]} ({float(found[i]):.2f})" for i in order]
        self.results.add_sheet(
            "memorisation.png", side_by_side(pairs, labels, 6),
            "Drawings (left) nearest to a training picture (right), with their distance",
        )  # fmt: skip

    # --- Common -------------------------------------------------------------------------------

    def _draw(self, prompts: Sequence[str], seeds: Sequence[int] | None = None) -> Tensor:
        size = self.gallery.judge.size
        return self.subject.draw(prompts, seeds or [0] * len(prompts), size, self.tick)

    def _keep(self, questions: Sequence[Question], drawn: Tensor, count: int) -> None:
        """Some of the drawings for the sample sheet: evenly from the list, whatever they show."""
        step = max(1, len(questions) // count)
        for index in range(0, len(questions), step)[:count]:
            self._sheet.append((as_picture(drawn[index]), questions[index].prompt))

    def _add(
        self, name: str, value: float, reference: float, reference_name: str = JUDGE_ON_REAL,
        better: Better = "higher", target: float | None = None, note: str = "",
    ) -> None:  # fmt: skip
        self.results.figures.append(
            Figure(name, value, "", reference_name, reference, better, target, note)
        )


def misspelt(prompt: str) -> str:
    """The prompt with the middle letter of its longest word dropped."""
    words = prompt.split(" ")
    place = int(np.argmax([len(word) for word in words]))
    word = words[place]
    words[place] = word[: len(word) // 2] + word[len(word) // 2 + 1 :]
    return " ".join(words)


def _both(first: Sequence[bool], second: Sequence[bool]) -> list[bool]:
    return [a and b for a, b in zip(first, second, strict=True)]


def _mean(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers) if answers else 0.0
