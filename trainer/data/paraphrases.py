"""Pairs of keywords that no training caption may combine, and the held-out prompts made of them.

"pinocchio lie" asks for the lying face without naming it. To measure whether a model understands
such a request rather than remembers it, a fixed fifth of all keyword pairs never stands together in
a training caption (`trainer.data.captions` draws around them), each word alone still does.
The rule looks at nothing but the two words, so it is the same for every dataset, split and run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from trainer.data.manifests import split_of
from trainer.data.order import step_seed

HELD_OUT_SHARE = 0.2  # of all pairs
SALT = "paraphrase"

Captions = Mapping[str, Sequence[str]]  # language -> [full name, keyword, ...]


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """A prompt of two keywords, and the pictures (by index) that carry both of them."""

    prompt: str
    keywords: tuple[str, str]
    pictures: tuple[int, ...]


def is_held_out(first: str, second: str) -> bool:
    """Whether no training caption may hold both phrases; order and case do not matter."""
    pair = sorted((first.casefold().strip(), second.casefold().strip()))
    return split_of("/".join(pair), HELD_OUT_SHARE, SALT) == "held_out"


def training_pairs(keywords: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of different keywords that a training caption may combine."""
    return [pair for pair in combinations(keywords, 2) if not is_held_out(*pair)]


def held_out_paraphrases(
    captions: Sequence[Captions], language: str = "en", count: int = 100
) -> list[Paraphrase]:
    """Up to `count` held-out prompts about these pictures, the same ones every time.

    At most one per picture and each pair once; a pair that only repeats the picture's name
    ("desert island") is no paraphrase and left out. Which ones are taken when there are more than
    `count` is decided by a hash, not by order or content.
    """
    carriers: dict[tuple[str, str], set[int]] = {}
    offered: list[tuple[str, str]] = []
    for index, phrases in enumerate(captions):
        name, *keywords = phrases.get(language) or [""]
        unique = sorted({keyword.casefold().strip() for keyword in keywords})
        pairs = [pair for pair in combinations(unique, 2) if is_held_out(*pair)]
        for pair in pairs:
            carriers.setdefault(pair, set()).add(index)
        fresh = [pair for pair in pairs if not _repeats(pair, name)]
        offered.extend(sorted(fresh, key=_place)[:1])
    chosen = sorted(set(offered), key=_place)[:count]
    return [Paraphrase(" ".join(pair), pair, tuple(sorted(carriers[pair]))) for pair in chosen]


def _repeats(pair: tuple[str, str], name: str) -> bool:
    """Whether both phrases stand in the name."""
    return all(phrase in name.casefold() for phrase in pair)


def _place(pair: tuple[str, str]) -> int:
    """A stable random order."""
    return step_seed(SALT, *pair)
