"""The text form of a command: `/imagine red heart seed:7 negative_prompt:"dark, blurry"`.

Where a platform has no form of its own (Telegram, the web composer) members type options as
`name:value` anywhere among their words; the words that are left go to the option marked `rest`.
`parse_text` reads that, `format_text` writes it, and what is written reads back the same.

  seed:7  seed: 7  seed：7    an option (a space after the colon for numbers only)
  negative_prompt:"a, b"      quotes hold several words together; a backslash inside
                              keeps the quote or backslash after it
  "note: this"  "to:do"       quoted words are never options; if all the words are one quotation,
                              the quotes fall away, else they are part of the text
  10:30  https://x.y  a: b    plain words
  sed:7                       an error, since it is more likely a slip than a prompt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.core.chat import Command, Option, OptionType, Text
from bot.core.suggest import did_you_mean, shown
from bot.errors import BadOption

_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)([:：])")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|“[^”]*”', re.DOTALL)
_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"\s*")
_SPACED_NUMBER = re.compile(r"[ \t]+([+-]?\d[\d.]*)(?=\s|$)")
_LOOKS_LIKE_VALUE = re.compile(r"""[\w"“+\-.#@']""")
_BARE_VALUE = re.compile(r"""[^\s"“:/][^\s]*""")


def parse_text(command: Command, text: str) -> dict[str, str]:
    """The raw options in what was typed after the command's name, for `options.validate`.

    Raises BadOption for an unknown name, one given twice, an unclosed quotation, and for words
    where the command takes none. Nothing else, whatever the text."""
    return _Reader(command, text).read()


def format_text(command: Command, options: Mapping[str, Any]) -> str:
    """The command with these options as one would type it; defaults and None are left out."""
    by_name = {option.name: option for option in command.option_list()}
    given = {
        name: _plain(value)
        for name, value in options.items()
        if name in by_name and value is not None and value != by_name[name].default
    }
    rest = next((name for name in given if by_name[name].rest), None)
    named = [
        f"{name}:{value if _BARE_VALUE.fullmatch(value) else _quoted(value)}"
        for name, value in given.items()
        if name != rest
    ]
    if rest is None:
        return " ".join([f"/{command.name}", *named])
    # The reader itself knows best whether the words need quotes.
    for words in (given[rest], _quoted(given[rest])):
        typed = " ".join([words, *named])
        if _reads_as(command, typed, given):
            break
    return f"/{command.name} {typed}"


class _Reader:
    """One pass over a text. `_words` are the stretches of plain text between options."""

    def __init__(self, command: Command, text: str) -> None:
        self._command = command
        self._options = {option.name: option for option in command.option_list()}
        self._rest = next((option for option in self._options.values() if option.rest), None)
        self._text = text
        self._at = 0
        self._found: dict[str, str] = {}
        self._words: list[tuple[int, int]] = []
        self._apart = True  # an option came between the last word and the next
        self._marked = False  # the words were announced by the rest option's own name
        self._unclosed = False  # a quotation has no end; neither has any that begins later

    def read(self) -> dict[str, str]:
        while self._skip_space():
            name = _NAME.match(self._text, self._at)
            if name is None or not self._take_option(name):
                self._take_word()
        words = self._joined_words()
        if self._rest is not None and (words or self._marked):
            self._found[self._rest.name] = words
        return self._found

    def _skip_space(self) -> bool:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._at < len(self._text)

    def _take_option(self, match: re.Match[str]) -> bool:
        """Read an option here, or return False where these are plain words after all."""
        name = match[1].lower().replace("-", "_")
        option = self._options.get(name)
        following = self._text[match.end() : match.end() + 2]
        if following.startswith((":", "//")):
            return False
        if option is None:
            if match[2] == ":" and _LOOKS_LIKE_VALUE.match(following):
                raise self._unknown(match[1])
            return False
        if option.rest:
            if self._words or self._marked:
                raise _twice(option)
            self._marked = True
            self._at = match.end()
            return True
        value = self._value(option, match.end())
        if value is None:
            return False
        if name in self._found:
            raise _twice(option)
        self._found[name] = value
        self._apart = True
        return True

    def _value(self, option: Option, start: int) -> str | None:
        quoted = _QUOTED.match(self._text, start)
        if quoted:
            self._at = quoted.end()
            return _unquoted(quoted[0])
        if self._text[start : start + 1] in {'"', "“"}:
            raise BadOption(
                f'The quotation after {option.name}: has no end. Please add a closing ".',
                f'{option.name}: 后面的引号没有结束，请补上 "。',
            )
        word = _WORD.match(self._text, start)
        if word is None and option.type in {OptionType.INTEGER, OptionType.NUMBER}:
            word = _SPACED_NUMBER.match(self._text, start)
        if word is None:
            return None
        self._at = word.end()
        return word[word.lastindex or 0]

    def _take_word(self) -> None:
        if self._rest is None:
            raise self._no_words()
        start = end = self._at
        if self._text[start] in {'"', "“"} and not self._unclosed:
            quoted = _QUOTED.match(self._text, start)
            self._unclosed = quoted is None and self._text[start] == '"'
            end = quoted.end() if quoted else start
        word = _WORD.match(self._text, end)
        self._at = word.end() if word else end
        if self._apart:
            self._words.append((start, self._at))
        else:
            self._words[-1] = (self._words[-1][0], self._at)
        self._apart = False

    def _joined_words(self) -> str:
        joined = ""
        for index, (start, end) in enumerate(self._words):
            if index:
                gap = self._text[self._words[index - 1][1] : start]
                joined += "\n" if "\n" in gap else " "
            joined += self._text[start:end]
        return _unquoted(joined) if _QUOTED.fullmatch(joined) else joined

    def _unknown(self, name: str) -> BadOption:
        hint = did_you_mean(name.lower(), self._options, suffix=":")
        sentence = Text(
            en="/{command} has no option {name}:.{hint}",
            zh="/{command} 没有选项 {name}:。{hint}",
        )
        if self._rest is not None:
            sentence = Text(
                en=sentence.en + ' If it is part of your text, put the text in "quotes".',
                zh=sentence.zh + "如果这是正文的一部分，请用引号把正文括起来。",
            )
        values = {"command": self._command.name, "name": shown(name)}
        return BadOption(
            sentence.en.format(hint=hint.en, **values), sentence.zh.format(hint=hint.zh, **values)
        )

    def _no_words(self) -> BadOption:
        words = shown(self._text[self._at :].split()[0])
        names = ", ".join(f"{name}:" for name in self._options)
        if not names:
            return BadOption(
                f"/{self._command.name} takes no text, but there is “{words}”.",
                f"/{self._command.name} 不需要任何文字，但收到了“{words}”。",
            )
        return BadOption(
            f"/{self._command.name} does not know what “{words}” is for. Its options: {names}.",
            f"/{self._command.name} 不明白“{words}”是什么。可用选项：{names}。",
        )


def _twice(option: Option) -> BadOption:
    return BadOption(
        f"{option.name}: is given twice. Please give it once.",
        f"{option.name}: 出现了两次，请只写一次。",
    )


def _unquoted(quotation: str) -> str:
    inner = quotation[1:-1]
    return inner if quotation[0] == "“" else re.sub(r'\\(["\\])', r"\1", inner)


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _plain(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _reads_as(command: Command, typed: str, expected: Mapping[str, str]) -> bool:
    try:
        return parse_text(command, typed) == expected
    except BadOption:
        return False
