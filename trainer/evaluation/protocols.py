"""What a picture model is asked, and which pictures would be right answers. No torch.

Three fixed lists: names of common emoji (is the thing recognised?), pairs of keywords that never
stood together in training (is it understood rather than remembered?) and compositions no picture
shows (is it composed?). A prompt is answered when one of the judge's first five guesses is among
its accepted pictures; a composition must also have the colour asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from trainer.data.compositions import COMPOSITIONS
from trainer.data.order import step_seed
from trainer.data.paraphrases import held_out_paraphrases

Captions = Mapping[str, Sequence[str]]  # language -> [full name, keyword, ...]

# What people send most, by the Unicode Consortium's frequency ranking of 2021 (faces, hearts,
# hands), and beside it the everyday things of every category, fixed before any model was measured.
# The first hundred of these that were in a model's training split are asked.
COMMON_NAMES: Final = (
    "face with tears of joy", "red heart", "rolling on the floor laughing", "thumbs up",
    "loudly crying face", "folded hands", "face blowing a kiss", "smiling face with hearts",
    "smiling face with heart-eyes", "smiling face with smiling eyes", "party popper",
    "beaming face with smiling eyes", "two hearts", "pleading face", "grinning face with sweat",
    "fire", "face with rolling eyes", "winking face", "birthday cake", "thinking face",
    "clapping hands", "partying face", "smiling face with sunglasses", "OK hand", "purple heart",
    "flexed biceps", "sparkles", "eyes", "crying face", "hundred points", "rose", "balloon",
    "blue heart", "bouquet", "see-no-evil monkey", "crossed fingers", "raising hands",
    "grinning face", "kiss mark", "skull", "broken heart", "star-struck", "sleeping face",
    "sun with face", "smiling face with halo", "cherry blossom", "musical notes", "victory hand",
    "green heart", "sun", "crown", "wrapped gift", "pile of poo", "check mark button",
    "cat face", "dog face", "mouse face", "rabbit face", "bear", "panda", "tiger face", "lion",
    "pig face", "frog", "chicken", "penguin", "fish", "octopus", "butterfly", "snail", "elephant",
    "deciduous tree", "cactus", "sunflower", "four leaf clover", "mushroom", "rainbow",
    "crescent moon", "star", "cloud", "snowman", "high voltage", "red apple", "banana", "grapes",
    "strawberry", "watermelon", "lemon", "carrot", "pizza", "hamburger", "hot dog", "doughnut",
    "ice cream", "hot beverage", "beer mug", "automobile", "bicycle", "airplane", "rocket",
    "sailboat", "house", "soccer ball", "basketball", "guitar", "trophy", "light bulb", "books",
    "key", "umbrella", "mobile phone", "camera", "alarm clock", "bomb", "ghost", "robot", "T-shirt",
)  # fmt: skip
COUNT = 100
WHO = re.compile(r"\b(man|woman|person|men|women|people|boy|girl)\b:?")


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the pictures (by index) that answer it, and the colour it must have, if any."""

    prompt: str
    accepted: frozenset[int]
    colour: str = ""


def name_questions(
    captions: Sequence[Captions], trained: Sequence[bool], count: int = COUNT
) -> list[Question]:
    """The common names whose picture the model was trained on.

    Right are all pictures whose name is the same but for who is shown: CLDR has a person, a man and
    a woman facepalming, drawn alike.
    """
    by_name: dict[str, set[int]] = {}
    for index, phrases in enumerate(captions):
        by_name.setdefault(_name_phrase(_name(phrases)), set()).add(index)
    known = {_name(c).casefold() for c, was in zip(captions, trained, strict=True) if was}
    asked = [name for name in COMMON_NAMES if name.casefold() in known][:count]
    return [Question(name, frozenset(by_name[_name_phrase(name)])) for name in asked]


def _name(phrases: Captions) -> str:
    return next(iter(phrases.get("en", ())), "")


def _name_phrase(name: str) -> str:
    return " ".join(re.findall(r"\w+", WHO.sub(" ", name.casefold()))) or name.casefold()


def paraphrase_questions(
    captions: Sequence[Captions],
    trained: Sequence[bool],
    language: str = "en",
    count: int = COUNT,
) -> list[Question]:
    """Held-out pairs of keywords; right is every picture that carries both.

    The pairs come from trained pictures; a picture of the other split may be an answer too.
    """
    shown = [c for c, was in zip(captions, trained, strict=True) if was]
    lowered = [{_lower(word) for word in list(c.get(language, ()))[1:]} for c in captions]
    return [
        Question(
            asked.prompt,
            frozenset(i for i, words in enumerate(lowered) if set(asked.keywords) <= words),
        )
        for asked in held_out_paraphrases(shown, language, count)
    ]


def _lower(phrase: str) -> str:
    return phrase.casefold().strip()


def composition_questions(captions: Sequence[Captions]) -> list[Question]:
    """A thing in a colour it never had; right is every picture that has the thing as its name or
    among its keywords, drawn in that colour."""
    phrases = [{_lower(phrase) for phrase in c.get("en", ())} for c in captions]
    questions = []
    for colour, thing in COMPOSITIONS:
        carriers = frozenset(i for i, known in enumerate(phrases) if thing in known)
        if carriers:
            questions.append(Question(f"{colour} {thing}", carriers, colour))
    return questions


def keyword_groups(
    captions: Sequence[Captions], smallest: int = 2, largest: int = 12
) -> dict[str, list[int]]:
    """English keyword -> the pictures (by index) that share it, for keywords that say something:
    those of few pictures. What "as different as real pictures of one kind" means. In an order that
    is always the same and says nothing of the words."""
    carriers: dict[str, list[int]] = {}
    for index, phrases in enumerate(captions):
        for word in {_lower(word) for word in list(phrases.get("en", ()))[1:]}:
            carriers.setdefault(word, []).append(index)
    words = sorted(carriers, key=lambda word: step_seed("keyword", word))
    return {w: carriers[w] for w in words if smallest <= len(carriers[w]) <= largest}
