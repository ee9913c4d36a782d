"""What somebody probably meant, and how to quote what they typed. Pure; shared by all of core."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from bot.core.chat import Text

_MAX_SHOWN = 40


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name most like the word, or None where none is near."""
    candidates = {name.casefold(): name for name in names}
    found = difflib.get_close_matches(word[:60].casefold(), candidates, n=1, cutoff=0.6)
    return candidates[found[0]] if found else None


def did_you_mean(word: str, names: Iterable[str], *, prefix: str = "", suffix: str = "") -> Text:
    """` Did you mean seed:?` with a space before it, or nothing; to be put after a sentence."""
    name = closest(word, names)
    if name is None:
        return Text(en="", zh="")
    shown_name = f"{prefix}{name}{suffix}"
    return Text(en=f" Did you mean {shown_name}?", zh=f"你是不是想用 {shown_name}？")


def shown(value: object) -> str:
    """A given value for use in a sentence: short, and without anything that cannot be shown."""
    text = value if isinstance(value, str) else type(value).__name__
    cut = text[:_MAX_SHOWN] + ("…" if len(text) > _MAX_SHOWN else "")
    return "".join(_visible(character) for character in cut)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Cs", "Co", "Cn"}:
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in {"Zl", "Zp"} else character
