"""The many ways to ask for one picture: training captions drawn from its names and keywords."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from trainer.data.paraphrases import training_pairs

PREFIXES = ("a ", "an ", "the ", "one ", "cute ", "a picture of a ", "a drawing of a ")
NAMED, EXPLAINED = 0.4, 0.2  # shares of captions: the name; a keyword and the name; else keywords
PAIRED = 0.65  # of captions of keywords: two of them

Captions = dict[str, list[str]]  # language -> [full name, keyword, ...]


def draw_captions(
    captions: Sequence[Captions],
    colours: Sequence[Mapping[str, str]],
    indices: Sequence[int],
    rng: random.Random,
    empty: float,
) -> list[str]:
    """A caption for each picture at `indices`; `colours` is empty where no picture was changed."""
    return [draw_caption(captions[i], rng, empty, colours[i] if colours else None) for i in indices]


def draw_caption(
    captions: Captions,
    rng: random.Random,
    empty: float,
    colours: Mapping[str, str] | None = None,  # language -> the colour to put in front
) -> str:
    """A caption for one training step; "" with probability `empty` (guidance).

    In a language drawn at random (the first counts double): the name, a keyword and the name, or
    one or two keywords (never a held-out pair), each about as often as people ask that way. English
    is at times given an article, a plural or a slip of the finger, so that people need not guess
    the dataset's wording.
    """
    known = [language for language, phrases in captions.items() if phrases]
    if not known or rng.random() < empty:
        return ""
    language = rng.choices(known, [2.0] + [1.0] * (len(known) - 1))[0]
    name, *keywords = captions[language]
    kind = rng.random()
    if kind < NAMED or not keywords:
        caption = name
    elif kind < NAMED + EXPLAINED:
        caption = f"{rng.choice(keywords)} {name}"
    else:
        caption = _keywords(keywords, rng)
    colour = (colours or {}).get(language)
    if language != "en":
        return f"{colour}{rng.choice(('', '的'))}{caption}" if colour else caption
    return _vary(f"{colour} {caption}" if colour else caption, rng)


def _keywords(keywords: list[str], rng: random.Random) -> str:
    pairs = training_pairs(keywords) if rng.random() < PAIRED else []
    if not pairs:
        return rng.choice(keywords)
    first, second = rng.choice(pairs)
    return rng.choice((f"{first} {second}", f"{second} {first}"))


def _vary(caption: str, rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.12:
        return rng.choice(PREFIXES) + caption
    if kind < 0.2 and caption[-1:].isalpha() and not caption.endswith("s"):
        return caption + "s"
    return _slip(caption, rng) if kind < 0.26 else caption


def _slip(caption: str, rng: random.Random) -> str:
    """A letter dropped, doubled or swapped with the next in one of the longer words."""
    words = caption.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 4]
    if not long:
        return caption
    place = rng.choice(long)
    word = words[place]
    at = rng.randrange(1, len(word) - 1)
    words[place] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
    return " ".join(words)


def name_of(captions: Captions) -> str:
    """The full name in the first language; "" where there is none."""
    return next(iter(captions.values()), [""])[0]


def prompts_to_show(asked: Sequence[str], captions: Sequence[Captions]) -> list[str]:
    """What a sample sheet draws: the recipe's prompts, or the names of the first eight pictures."""
    return [*asked] or [name_of(one) for one in captions[:8]]


def all_phrases(captions: Captions) -> list[str]:
    """Every phrase of a picture, in every language: what a tokenizer is trained on."""
    return [phrase for phrases in captions.values() for phrase in phrases]
