"""The core's commands as Discord declares them: JSON for the endpoint that overwrites them all.

Pure. Discord's limits (application-commands, "Application Command Object") are kept here and not
left to be found out by a 400: 25 options of a command, 25 choices of an option, 100 characters of
a description, 8000 of a command in its longest language. Used by `sync`; `reading` and
`autocomplete` read back what was declared here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bot.core.chat import Command, Menu, Option, OptionType, Role, Text
from bot.platforms.discord.names import COMMANDS, OPTIONS

Payload = dict[str, Any]

FROM_SUFFIX: Final = "_from"
"""An image may be attached or named: `image` takes the file, `image_from` the words."""

CHINESE: Final = ("zh-CN", "zh-TW")
MAX_OPTIONS: Final = 25
MAX_CHOICES: Final = 25
MAX_DESCRIPTION: Final = 100
MAX_NAME: Final = 32
MAX_CHOICE: Final = 100
MAX_TEXT: Final = 6000
MAX_COMMAND: Final = 8000
MAX_MENUS: Final = 15
MAX_COMMANDS: Final = 100
_SAFE_INTEGER: Final = 2**53 - 1  # beyond it a number of JavaScript's, and so of Discord's, rounds

_CHAT_INPUT, _MESSAGE_MENU = 1, 3
_GUILD, _BOT_DM, _PRIVATE_CHANNEL = 0, 1, 2
_GUILD_INSTALL, _USER_INSTALL = 0, 1
_MANAGE_GUILD: Final = str(1 << 5)

_TYPES: Final = {
    OptionType.STRING: 3,
    OptionType.INTEGER: 4,
    OptionType.BOOLEAN: 5,
    OptionType.MEMBER: 6,
    OptionType.CHANNEL: 7,
    OptionType.ROLE: 8,
    OptionType.NUMBER: 10,
    OptionType.IMAGE: 11,
}
_NUMBERS: Final = frozenset({OptionType.INTEGER, OptionType.NUMBER})
_FROM: Final = Text(
    en="Or a picture of your history: last, last#2 or its id.",
    zh="或历史中的图片：last、last#2 或编号。",
)
# Ever shorter descriptions, tried in turn where a command is too long.
_SHORTER: Final = (100, 80, 60, 40, 20)


def declare(commands: Iterable[Command], menus: Iterable[Menu]) -> list[Payload]:
    """Everything there is to be offered, in order. Raises ValueError where that cannot be declared
    however it is shortened: too many commands, options or characters."""
    chat = [command(one) for one in commands if one.role is not Role.OWNER]
    entries = [menu(one) for one in menus if one.role is not Role.OWNER]
    if len(chat) > MAX_COMMANDS or len(entries) > MAX_MENUS:
        raise ValueError(f"Discord takes no {len(chat)} commands and {len(entries)} menu entries")
    return chat + entries


def command(declared: Command) -> Payload:
    """A slash command. Where it weighs too much, choices are suggested rather than declared, and
    then descriptions are cut. Raises ValueError where nothing helps."""
    for limit in _SHORTER:
        for with_choices in (True, False):
            made = _command(declared, limit, with_choices=with_choices)
            if weight(made) <= MAX_COMMAND:
                return made
    raise ValueError(f"/{declared.name} is too long for Discord, however it is shortened")


def menu(declared: Menu) -> Payload:
    """An entry of the menu that Discord shows on every message."""
    return {
        "type": _MESSAGE_MENU,
        "name": declared.title.en[:MAX_NAME],
        "name_localizations": dict.fromkeys(CHINESE, declared.title.zh[:MAX_NAME]),
        **_where(declared.role),
    }


def weight(payload: Mapping[str, Any]) -> int:
    """Characters as Discord counts them: names, descriptions and the values of choices, each in
    its longest language."""
    total = 0
    for key in ("name", "description"):
        texts = [payload.get(key) or "", *(payload.get(f"{key}_localizations") or {}).values()]
        total += max(len(text) for text in texts)
    total += len(str(payload.get("value", "")))
    nested = (*payload.get("options", ()), *payload.get("choices", ()))
    return total + sum(weight(one) for one in nested)


def suggests(option: Option) -> bool:
    """Whether the values of an option are suggested while it is typed: which there are is known
    only at run time, others are allowed too, or they are more than Discord lists."""
    if option.choices == ():
        return False
    return callable(option.choices) or option.open_choices or len(option.choices) > MAX_CHOICES


def _command(declared: Command, limit: int, *, with_choices: bool) -> Payload:
    options = [
        made
        for option in declared.option_list()
        for made in _options(option, limit, with_choices=with_choices)
    ]
    if len(options) > MAX_OPTIONS:
        raise ValueError(f"/{declared.name} has {len(options)} options; Discord takes 25")
    return {
        "type": _CHAT_INPUT,
        "name": declared.name,
        **_local_name(COMMANDS.get(declared.name)),
        **_described(declared.summary, limit),
        # What is required comes first, by Discord's rule.
        "options": sorted(options, key=lambda made: not made.get("required", False)),
        **_where(declared.role),
    }


def _where(role: Role) -> Payload:
    """Moderators' commands belong into a guild, and are seen by who may manage it (the guild may
    decide otherwise); what is asked of the others holds in direct messages and for who brought the
    studio along."""
    if role is Role.MODERATOR:
        return {
            "contexts": [_GUILD],
            "integration_types": [_GUILD_INSTALL],
            "default_member_permissions": _MANAGE_GUILD,
            "nsfw": False,
        }
    return {
        "contexts": [_GUILD, _BOT_DM, _PRIVATE_CHANNEL],
        "integration_types": [_GUILD_INSTALL, _USER_INSTALL],
        "default_member_permissions": None,
        "nsfw": False,
    }


def _options(option: Option, limit: int, *, with_choices: bool) -> Iterator[Payload]:
    """The option as Discord has it; an image makes two, of which either will do, so that neither
    can be required."""
    image = option.type is OptionType.IMAGE
    made: Payload = {
        "type": _TYPES[option.type],
        "name": option.name,
        **_local_name(OPTIONS.get(option.name)),
        **_described(option.description, limit),
        "required": option.required and not image,
    }
    if image:
        yield made
        chinese = OPTIONS.get(option.name)
        yield {
            "type": _TYPES[OptionType.STRING],
            "name": f"{option.name}{FROM_SUFFIX}",
            **_local_name(f"{chinese}来源" if chinese else None),
            **_described(_FROM, limit),
            "required": False,
            "max_length": int(option.maximum or MAX_CHOICE),
            "autocomplete": True,
        }
        return
    choices = option.choice_list()
    if suggests(option) or (choices and not with_choices):
        made["autocomplete"] = True
    elif choices:
        made["choices"] = [
            {
                "name": choice.label[:MAX_CHOICE],
                **_local_name(choice.zh[:MAX_CHOICE]),
                "value": choice.value,
            }
            for choice in choices
        ]
    if not choices:
        made |= _bounds(option)
    yield made


def _bounds(option: Option) -> Payload:
    """The range that Discord checks before it sends anything. Without one of ours, an integer has
    that of a safe one anyway."""
    low, high = option.minimum, option.maximum
    if option.type is OptionType.STRING:
        bounds = {"min_length": low, "max_length": min(high or MAX_TEXT, MAX_TEXT)}
        return {name: int(value) for name, value in bounds.items() if value is not None}
    if option.type not in _NUMBERS:
        return {}
    kind = int if option.type is OptionType.INTEGER else float
    found = {"min_value": low, "max_value": high}
    return {
        name: kind(max(-_SAFE_INTEGER, min(_SAFE_INTEGER, value)))
        for name, value in found.items()
        if value is not None
    }


def _local_name(chinese: str | None) -> Payload:
    return {"name_localizations": dict.fromkeys(CHINESE, chinese)} if chinese else {}


def _described(text: Text, limit: int) -> Payload:
    limit = min(limit, MAX_DESCRIPTION)
    return {
        "description": _cut(text.en, limit),
        "description_localizations": dict.fromkeys(CHINESE, _cut(text.zh, limit)),
    }


def _cut(text: str, limit: int) -> str:
    """The text, or its beginning up to a whole word where it is too long."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    words = head.rpartition(" ")[0]
    return (words if len(words) > limit // 2 else head).rstrip(" ,.;:，。；：") + "…"
