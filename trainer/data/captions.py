"""The many ways to ask for one picture: training captions drawn from its names and keywords."""

from __future__ import annotations

import random

PREFIXES = ("a ", "an ", "the ", "one ", "cute ", "a picture of a ", "a drawing of a ")

Captions = dict[str, list[str]]  # language -> [full name, keyword, ...]


def draw_caption(captions: Captions, rng: random.Random, empty: float) -> str:
    """A caption for one training step; "" with probability `empty` (guidance).

    In a language drawn at random (the first counts double): the name (half of the time), a keyword
    and the name, or one or two keywords. English is at times given an article or a plural, so that
    people need not guess the dataset's wording.
    """
    known = [language for language, phrases in captions.items() if phrases]
    if not known or rng.random() < empty:
        return ""
    language = rng.choices(known, [2.0] + [1.0] * (len(known) - 1))[0]
    name, *keywords = captions[language]
    kind = rng.random()
    if kind < 0.5 or not keywords:
        caption = name
    elif kind < 0.75:
        caption = f"{rng.choice(keywords)} {name}"
    else:
        caption = " ".join(rng.sample(keywords, min(len(keywords), rng.choice((1, 2)))))
    return _vary(caption, rng) if language == "en" else caption


def _vary(caption: str, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.12:
        return rng.choice(PREFIXES) + caption
    if kind < 0.2 and caption[-1:].isalpha() and not caption.endswith("s"):
        return caption + "s"
    return caption


def all_phrases(captions: Captions) -> list[str]:
    """Every phrase of a picture, in every language: what a tokenizer is trained on."""
    return [phrase for phrases in captions.values() for phrase in phrases]
