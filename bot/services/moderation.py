"""Whether a prompt may be worked on: the studio's and the community's word and pattern rules.

A rule is a word or phrase; `*` stands for any letters inside a word, `?` for one character. Rules
become expressions that never backtrack into a star (atomic groups) and whose stars are bounded, so
that no rule and no prompt can keep the gateway busy. The setting `prompt_rules` is a list of rules;
there are none by default.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from bot.core.suggest import shown
from bot.errors import BadOption, PromptRefused

SETTING = "prompt_rules"

MAX_RULE_CHARACTERS = 100
MAX_STARS = 3
MAX_RULES = 500
_STAR = r"\S{0,30}?"
_UNSPACED_SCRIPTS_FROM = 0x2E80  # from here on (CJK and kin) words have no blanks around them


class ModerationService:
    """Checks texts against rules. Holds nothing; rules come from settings."""

    def check(self, text: str, rules: Iterable[str]) -> None:
        """Raise PromptRefused, naming what is not allowed, where a rule matches the text."""
        found = first_match(text, rules)
        if found is not None:
            word = shown(found)
            raise PromptRefused(
                f"Prompts with “{word}” are not allowed here. Please word it differently.",
                f"这里不允许含有“{word}”的提示词，请换一种说法。",
            )

    def check_params(self, params: Mapping[str, Any], rules: Sequence[str]) -> None:
        """Check every text a generator is asked for. What a picture should *not* show may be
        named."""
        if not rules:
            return
        for text in texts_of(params):
            self.check(text, rules)


def texts_of(params: Mapping[str, Any]) -> list[str]:
    """The texts that say what is to be made; not those that say what is not."""
    return [
        value
        for name, value in params.items()
        if isinstance(value, str) and not name.startswith("negative")
    ]


def first_match(text: str, rules: Iterable[str]) -> str | None:
    """What in the text the first matching rule found, or None."""
    plain = normalised(text)
    for rule in rules:
        found = _expression(rule).search(plain)
        if found is not None:
            return found.group()
    return None


def read_rules(setting: Any) -> tuple[str, ...]:
    """Rules as they are stored; anything that is no rule is left out, for a mistake in a setting
    must not stop a community."""
    if not isinstance(setting, list):
        return ()
    return tuple(rule for rule in setting[:MAX_RULES] if isinstance(rule, str) and _says(rule))


def check_rule(rule: str) -> None:
    """Raise BadOption unless the rule is one; for whoever stores rules."""
    if not _says(rule):
        raise BadOption(
            "A rule needs at least one letter besides * and ?.",
            "规则除 * 和 ? 外至少需要一个字符。",
        )
    if len(rule) > MAX_RULE_CHARACTERS or rule.count("*") > MAX_STARS:
        raise BadOption(
            f"A rule may have at most {MAX_RULE_CHARACTERS} characters and {MAX_STARS} stars.",
            f"规则最多 {MAX_RULE_CHARACTERS} 个字符，最多 {MAX_STARS} 个 *。",
        )


def normalised(text: str) -> str:
    """NFKC and casefolded, without characters that leave no mark, blanks as single spaces: what
    looks the same is the same."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    visible = "".join(char for char in folded if unicodedata.category(char) not in {"Cf", "Mn"})
    return " ".join(visible.split())


def _says(rule: str) -> bool:
    """Whether anything is left that could be looked for; a lone star would refuse everything."""
    return bool(normalised(rule).strip("*? "))


@lru_cache(maxsize=4096)
def _expression(rule: str) -> re.Pattern[str]:
    """A rule as an expression over normalised text. Stars beyond the allowed are plain letters; a
    star at an edge only says that the word may go on there."""
    plain = normalised(rule)[:MAX_RULE_CHARACTERS]
    begin = r"(?<![^\W_])" if _spaced(plain[:1]) else ""
    end = r"(?![^\W_])" if _spaced(plain[-1:]) else ""
    first, *rest = (
        "".join("." if char == "?" else re.escape(char) for char in part)
        for part in plain.strip("*").split("*", MAX_STARS)
    )
    if not rest:
        return re.compile(begin + first + end)
    # The earliest place for each part is as good as any later one, so none needs a second try.
    between = "".join(f"(?>{_STAR}{part})" for part in rest[:-1])
    return re.compile(f"{begin}{first}{between}(?>{_STAR}{rest[-1]}{end})")


def _spaced(char: str) -> bool:
    """Whether a word that has this character at its edge ends there."""
    return char.isalnum() and ord(char) < _UNSPACED_SCRIPTS_FROM
