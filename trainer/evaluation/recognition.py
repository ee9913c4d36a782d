"""Is it the thing that was asked for? Names, slips, Chinese, paraphrases, compositions. Torch."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trainer.data.order import step_seed
from trainer.data.recolour import HUES, ink_hue, recolour
from trainer.evaluation import protocols
from trainer.evaluation.protocols import Question
from trainer.evaluation.session import Session
from trainer.evaluation.subject import as_picture, as_tensor

ON_SHEET = (24, 8)  # names and compositions


def measure(session: Session) -> None:
    """All of it; only where the judge knows the dataset's pictures."""
    _names(session)
    _paraphrases(session)
    _compositions(session)


def _names(session: Session) -> None:
    questions = protocols.name_questions(session.gallery.captions, session.gallery.trained)
    questions = questions[: session.plan.names]
    drawn = session.draw([question.prompt for question in questions])
    session.keep(questions, drawn, ON_SHEET[0])
    real = _real(session, questions)
    right, real_right = (_answered(session, questions, x) for x in (drawn, real))
    first, real_first = (_answered(session, questions, x, guesses=1) for x in (drawn, real))
    session.add("name_top1", _mean(first), _mean(real_first))
    session.add(
        "name_top5", _mean(right), _mean(real_right), target=0.8,
        note=f"{len(questions)} common emoji names, one drawing each: the thing is among the "
        "judge's first five guesses",
    )  # fmt: skip
    _chinese(session, questions)
    _misspelt(session, questions, right)


def _chinese(session: Session, questions: Sequence[Question]) -> None:
    translated = [
        (question, names[0])
        for question in questions
        if (names := session.gallery.captions[min(question.accepted)].get("zh"))
    ][: session.plan.chinese]
    if translated:
        asked, prompts = zip(*translated, strict=True)
        right = _answered(session, asked, session.draw(prompts))
        real = _mean(_answered(session, asked, _real(session, asked)))
        session.add("chinese_name_top5", _mean(right), real, note="the same names in Chinese")


def _misspelt(session: Session, questions: Sequence[Question], right: Sequence[bool]) -> None:
    """Against the same names spelled well."""
    count = session.plan.misspelt
    asked, prompts = questions[:count], [misspelt(q.prompt) for q in questions[:count]]
    session.add(
        "misspelt_name_top5", _mean(_answered(session, asked, session.draw(prompts))),
        _mean(right[:count]), reference_name="the same names without the slip",
        note="one letter of the longest word dropped",
    )  # fmt: skip


def _paraphrases(session: Session) -> None:
    questions = protocols.paraphrase_questions(
        session.gallery.captions, session.gallery.trained, count=session.plan.paraphrases
    )
    drawn = session.draw([question.prompt for question in questions])
    session.add(
        "paraphrase_top5", _mean(_answered(session, questions, drawn)),
        _mean(_answered(session, questions, _real(session, questions))), target=0.5,
        note=f"{len(questions)} pairs of keywords that never stood together in training: a "
        "picture that carries both is among the first five guesses",
    )  # fmt: skip


def _compositions(session: Session) -> None:
    questions = protocols.composition_questions(session.gallery.captions)
    questions = questions[: session.plan.compositions]
    drawn = session.draw([question.prompt for question in questions])
    session.keep(questions, drawn, ON_SHEET[1])
    thing = _answered(session, questions, drawn)
    colour = [ink_hue(as_picture(p)) == q.colour for p, q in zip(drawn, questions, strict=True)]
    recoloured = _recoloured(session, questions)
    real_thing = _answered(session, questions, recoloured)
    real_colour = [
        ink_hue(as_picture(p)) == q.colour for p, q in zip(recoloured, questions, strict=True)
    ]
    name = "real pictures recoloured"
    session.add("composition_thing", _mean(thing), _mean(real_thing), reference_name=name)
    session.add("composition_colour", _mean(colour), _mean(real_colour), reference_name=name)
    session.add(
        "composition_rate", _mean(_both(thing, colour)), _mean(_both(real_thing, real_colour)),
        reference_name=name, target=0.4,
        note=f"{len(questions)} things in colours no picture shows them in: the thing among "
        "the first five guesses and most ink of the colour",
    )  # fmt: skip


def _answered(
    session: Session, questions: Sequence[Question], drawn: Tensor, guesses: int = 5
) -> list[bool]:
    """Whether an accepted picture is among the judge's first guesses, for each drawing."""
    said = session.gallery.guesses(drawn)
    return [
        bool(question.accepted & set(guess[:guesses]))
        for question, guess in zip(questions, said, strict=True)
    ]


def _real(session: Session, questions: Sequence[Question]) -> Tensor:
    """A real picture that answers each question."""
    return torch.stack([session.gallery.picture(min(q.accepted)) for q in questions])


def _recoloured(session: Session, questions: Sequence[Question]) -> Tensor:
    pictures = []
    for question in questions:
        rng = random.Random(step_seed("composition", question.prompt))
        real = as_picture(session.gallery.picture(min(question.accepted)))
        tinted = recolour(real, question.colour, rng) if question.colour in HUES else real
        pictures.append(as_tensor(tinted, session.gallery.judge.size))
    return torch.stack(pictures)


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
