"""What a member's words say about a note: its pitch, register, loudness and length. No torch.

Musicians write `violin C4`, `high flute`, `soft piano`, `小提琴 A4`, `低沉的钢琴`: such words are
taken out of the prompt here, and only the rest has to be understood by the weights. Where a word
is part of a sound's own name (`low tom`, `long whistle`, `低音提琴`), it stays. Used by
`models.audio_gan`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Tendency = Literal[-1, 0, 1]

MIDDLE_C = 60
_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_SHARPS, _FLATS = {"#", "♯", "sharp", "升"}, {"b", "♭", "flat", "降"}
_CJK = r"\u4e00-\u9fff"
_NOTE = re.compile(
    r"(?<![A-Za-z0-9])(?P<before>[升降]?)(?P<letter>[A-Ga-g])"
    r"(?P<after>#|♯|b|♭|[ -]?sharp[ -]?|[ -]?flat[ -]?)?(?P<octave>-1|[0-9])(?![A-Za-z0-9])"
)
_CLASS = re.compile(r"(?<![A-Za-z0-9])(?P<letter>[B-G])(?P<after>#|♯|♭|b)?(?![A-Za-z0-9'’])")
_MIDDLE = re.compile(r"\bmiddle c\b|中央\s?c(?![A-Za-z0-9])", re.IGNORECASE)
_DRUM = r"(?:floor|mid|tom|bongo|conga|timbale|agogo|wood|kick|drum)"
_HAS_ZH = "提琴鼓吉贝大号管嗵邦康天木阿萨"  # 低音 or 高音 before these is part of a name

_TENDENCIES: dict[str, tuple[str, str]] = {  # what -> (patterns for less, for more)
    "register": (
        rf"\b(?:very )?(?:low|deep)(?:er|est)?\b(?![- ]?{_DRUM})"
        rf"|低沉|低八度|低音(?![{_HAS_ZH}])|深沉",
        rf"\b(?:very )?high(?:er|est)?\b(?![- ]?{_DRUM})"
        rf"|高亢|高八度|高音(?![{_HAS_ZH}])|尖锐",
    ),
    "loudness": (
        r"\b(?:very )?(?:soft(?:ly|er)?|quiet(?:ly|er)?|gentle|gently|pianissimo|p{2,3})\b"
        r"|轻柔|轻轻|柔和|小声|轻声|安静",
        r"\b(?:very )?(?:loud(?:ly|er)?|hard|strong(?:ly)?|forte|fortissimo|f{2,3})\b"
        r"|响亮|大声|用力|有力|强烈",
    ),
    "length": (
        r"\b(?:short(?:er)?(?![- ]?(?:whistle|guiro))|staccato)\b|短促|短音|断奏",
        r"\b(?:long(?:er)?(?![- ]?(?:whistle|guiro))|sustained|held|legato)\b|悠长|长音|持续",
    ),
}


@dataclass(frozen=True, slots=True)
class Wish:
    """A prompt, read. `words` are what is left for the weights to understand.

    pitch: MIDI number of a note with its octave. pitch_class: 0 (C) to 11 (B) of one without.
    register, loudness, length: -1 low, soft, short; 1 high, loud, long; 0 nothing was said.
    """

    words: str
    pitch: int | None = None
    pitch_class: int | None = None
    register: Tendency = 0
    loudness: Tendency = 0
    length: Tendency = 0

    @property
    def says_something(self) -> bool:
        """Whether anything about the note was said."""
        return self != Wish(self.words)


def read(prompt: str) -> Wish:
    """Take the words about the note out of a prompt."""
    tendencies: dict[str, Tendency] = {}
    rest, pitch = _taken_pitch(prompt)
    for name, (less, more) in _TENDENCIES.items():
        rest, downs = re.subn(less, " ", rest, flags=re.IGNORECASE)
        rest, ups = re.subn(more, " ", rest, flags=re.IGNORECASE)
        tendencies[name] = 0 if bool(downs) == bool(ups) else (-1 if downs else 1)
    pitch_class = None
    if pitch is None and (found := _CLASS.search(rest)):
        pitch_class = _step(found["letter"], found["after"]) % 12
        rest = rest[: found.start()] + " " + rest[found.end() :]
    words = re.sub(rf"^[\s的,,]+|(?<![{_CJK}])\s*的|[\s,,]+$", " ", rest)
    return Wish(" ".join(words.split()), pitch, pitch_class, **tendencies)


def name(pitch: int) -> str:
    """MIDI number -> scientific pitch: 60 is C4."""
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def _taken_pitch(prompt: str) -> tuple[str, int | None]:
    """The prompt without its first note with an octave, and that note."""
    if middle := _MIDDLE.search(prompt):
        return prompt[: middle.start()] + " " + prompt[middle.end() :], MIDDLE_C
    found = _NOTE.search(prompt)
    if found is None:
        return prompt, None
    step = _step(found["letter"], found["after"] or found["before"])
    pitch = 12 * (int(found["octave"]) + 1) + step
    return prompt[: found.start()] + " " + prompt[found.end() :], max(0, min(127, pitch))


def _step(letter: str, accidental: str | None) -> int:
    """Semitones above C."""
    mark = (accidental or "").strip(" -").lower()
    return _STEPS[letter.lower()] + (mark in _SHARPS) - (mark in _FLATS)
