"""From what a platform handed over to typed values, or one clear sentence.

Whatever a member sends as options (words, JSON of any shape, a form's strings) goes through
`validate` before anything else sees it: the result holds every option of the command, typed,
inside its bounds, text in Unicode's NFC without control characters. `parse_text` and `format_text`
read and write the typed form, `from_params` makes options out of a generator's params.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.core.chat import Command, Option, OptionType, Upload
from bot.core.params import from_params, merged
from bot.core.suggest import did_you_mean, shown
from bot.core.text_form import format_text, parse_text
from bot.errors import BadOption

__all__ = ["files", "format_text", "from_params", "merged", "parse_text", "validate"]

DEFAULT_MAX_CHARACTERS = 4000
"""For strings that declare no maximum; nothing a member types may be unbounded."""

_MAX_INTEGER = 2**63 - 1  # what SQL and JSON readers hold
_HUGE = 10**40  # stands for every whole number beyond it
_MAX_LISTED_CHOICES = 12
_IDS = frozenset({OptionType.MEMBER, OptionType.CHANNEL, OptionType.ROLE})
_ID = re.compile(r"[\w:.@+-]+")
_MENTION = re.compile(r"<(?:@[!&]?|#)(\d+)>")
_MAX_ID_CHARACTERS = 100
_WHOLE = re.compile(r"[+-]?\d+")
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "y", "on", "1", "是", "对", "真", "开"), True),
    **dict.fromkeys(("false", "no", "n", "off", "0", "否", "不", "假", "关"), False),
}


def validate(command: Command, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Typed values for all options of the command; None and empty text mean "not given".

    Raises BadOption, and nothing else, whatever `raw` holds."""
    options = {option.name: option for option in command.option_list()}
    for name in raw:
        if name not in options:
            hint = did_you_mean(str(name), options)
            raise BadOption(
                f"/{command.name} has no option {shown(name)}.{hint.en}",
                f"/{command.name} 没有选项 {shown(name)}。{hint.zh}",
            )
    return {
        name: _missing(command, option) if _empty(raw.get(name)) else _typed(option, raw[name])
        for name, option in options.items()
    }


def _empty(value: object) -> bool:
    """Nothing, or only characters that leave no mark (blanks, zero-width characters)."""
    if isinstance(value, str):
        # The first visible character ends the search, so a long text costs nothing.
        return all(
            unicodedata.category(c) in {"Cf", "Zs", "Zl", "Zp"} or c.isspace() for c in value
        )
    return value is None


def _missing(command: Command, option: Option) -> str | int | float | bool | None:
    """The default; raises where there is none."""
    if not option.required:
        return option.default
    example = command.examples[0] if command.examples else f"/{command.name} {option.name}:…"
    raise BadOption(
        f"/{command.name} needs {option.name}. For example: {example}",
        f"/{command.name} 需要 {option.name}。例如：{example}",
    )


def files(command: Command, uploads: Mapping[str, Upload]) -> dict[str, Upload]:
    """The files sent along, as raw options. Raises BadOption for one that no `image` option of the
    command takes; a file of no bytes is a form's way of sending none."""
    kinds = {option.name: option.type for option in command.option_list()}
    found = {name: upload for name, upload in uploads.items() if upload.data}
    for name in found:
        if kinds.get(name) is not OptionType.IMAGE:
            raise BadOption(
                f"/{command.name} takes no file as {shown(name)}.",
                f"/{command.name} 的 {shown(name)} 不接受文件。",
            )
    return found


def _typed(option: Option, value: object) -> str | int | float | bool | Upload:
    if option.type is OptionType.IMAGE and isinstance(value, Upload):
        return value
    if option.type is OptionType.BOOLEAN:
        return _boolean(option, value)
    if option.type is OptionType.INTEGER:
        typed: str | int | float = _integer(option, value)
    elif option.type is OptionType.NUMBER:
        typed = _number(option, value)
    elif option.type in _IDS:
        typed = _id(option, value)
    else:
        typed = _text(option, value)  # of an image option: words that name a picture
    choices = option.choice_list()
    if choices:
        for choice in choices:
            if str(typed).casefold() in {str(choice.value).casefold(), choice.label.casefold()}:
                return choice.value
        if not option.open_choices:
            raise _no_choice(option, typed)
    return _in_range(option, typed)


def _boolean(option: Option, value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = None
    if isinstance(value, str) and len(value) <= 20:
        known = _BOOLEANS.get(value.strip().casefold())
    elif isinstance(value, int) and value in (0, 1):
        known = value == 1
    if known is None:
        raise BadOption(
            f"{option.name} must be yes or no, not “{shown(value)}”.",
            f"{option.name} 只能是“是”或“否”，不能是“{shown(value)}”。",
        )
    return known


def _integer(option: Option, value: object) -> int:
    """A whole number, also from `"7"` and `7.0`; out of any range where it is absurdly long."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        digits = value.strip()
        # Python refuses to read or print numbers of thousands of digits; nobody means one.
        value = int(digits) if len(digits) <= 40 else (-_HUGE if digits[0] == "-" else _HUGE)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_HUGE, min(_HUGE, value))
    number = _float(value)
    if number is None or not number.is_integer():
        raise BadOption(
            f"{option.name} must be a whole number such as 7, not “{shown(value)}”.",
            f"{option.name} 必须是整数（如 7），不能是“{shown(value)}”。",
        )
    return max(-_HUGE, min(_HUGE, int(number)))


def _number(option: Option, value: object) -> float:
    number = _float(value)
    if number is None:
        raise BadOption(
            f"{option.name} must be a number such as 7.5, not “{shown(value)}”.",
            f"{option.name} 必须是数字（如 7.5），不能是“{shown(value)}”。",
        )
    return number


def _id(option: Option, value: object) -> str:
    """A platform's id, out of a mention where one was typed."""
    text = _text(replace(option, maximum=option.maximum or _MAX_ID_CHARACTERS), value)
    mention = _MENTION.fullmatch(text)
    found = text if mention is None else mention[1]
    if not _ID.fullmatch(found):
        raise BadOption(
            f"{option.name} must be picked, mentioned or given by its id, not “{shown(text)}”.",
            f"{option.name} 需要选择、提及或填写编号，不能是“{shown(text)}”。",
        )
    return found


def _float(value: object) -> float | None:
    """The value as a finite float, or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and (len(value) > 400 or "_" in value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:  # an int beyond floats: finite, but out of every range
        number = -1e300 if isinstance(value, int) and value < 0 else 1e300
    return number if math.isfinite(number) else None


def _text(option: Option, value: object) -> str:
    if not isinstance(value, str):
        raise BadOption(
            f"{option.name} must be text, not “{shown(value)}”.",
            f"{option.name} 必须是文字，不能是“{shown(value)}”。",
        )
    maximum = int(option.maximum or DEFAULT_MAX_CHARACTERS)
    if len(value) > 4 * maximum:
        # Composing never shrinks text that much, and it is slow on hostile input.
        raise _too_long(option, len(value), maximum)
    for character in value:
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and character not in "\n\r\t"):
            raise BadOption(
                f"{option.name} contains a character that cannot be shown"
                f" (U+{ord(character):04X}). Please type it without.",
                f"{option.name} 含有无法显示的字符（U+{ord(character):04X}），请去掉后再试。",
            )
    text = unicodedata.normalize("NFC", value.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not option.multiline:
        text = text.replace("\n", " ")
    return text


def _in_range(option: Option, value: str | int | float) -> str | int | float:
    if isinstance(value, str):
        maximum = int(option.maximum or DEFAULT_MAX_CHARACTERS)
        if len(value) > maximum:
            raise _too_long(option, len(value), maximum)
        if option.minimum is not None and len(value) < option.minimum:
            least = int(option.minimum)
            raise BadOption(
                f"{option.name} is too short: it needs at least {least:,} characters.",
                f"{option.name} 太短：至少需要 {least:,} 个字符。",
            )
        return value
    low, high = option.minimum, option.maximum
    if isinstance(value, int):
        low = -_MAX_INTEGER if low is None else low
        high = _MAX_INTEGER if high is None else high
    if (low is None or value >= low) and (high is None or value <= high):
        return value
    raise _out_of_range(option)


def _out_of_range(option: Option) -> BadOption:
    low, high = option.minimum, option.maximum
    if low is not None and high is not None:
        return BadOption(
            f"{option.name} must be between {_figure(low)} and {_figure(high)}.",
            f"{option.name} 必须在 {_figure(low)} 和 {_figure(high)} 之间。",
        )
    if low is not None:
        return BadOption(
            f"{option.name} must be at least {_figure(low)}.",
            f"{option.name} 不能小于 {_figure(low)}。",
        )
    if high is not None:
        return BadOption(
            f"{option.name} must be at most {_figure(high)}.",
            f"{option.name} 不能大于 {_figure(high)}。",
        )
    return BadOption(f"{option.name} is too large a number.", f"{option.name} 的数字太大。")


def _figure(number: float) -> str:
    return f"{int(number)}" if float(number).is_integer() else f"{number:g}"


def _too_long(option: Option, length: int, maximum: int) -> BadOption:
    return BadOption(
        f"{option.name} is too long: {length:,} characters, and at most {maximum:,} are allowed.",
        f"{option.name} 太长：有 {length:,} 个字符，最多允许 {maximum:,} 个。",
    )


def _no_choice(option: Option, value: object) -> BadOption:
    values = [str(choice.value) for choice in option.choice_list()]
    hint = did_you_mean(str(value), values)
    listed = ", ".join(values[:_MAX_LISTED_CHOICES])
    if len(values) > _MAX_LISTED_CHOICES:
        listed += ", …"
    return BadOption(
        f"{option.name} cannot be “{shown(str(value))}”.{hint.en} There are: {listed}.",
        f"{option.name} 不能是“{shown(str(value))}”。{hint.zh}可选：{listed}。",
    )
