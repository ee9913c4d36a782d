"""Declared commands as plain JSON: what the composer completes, what the page's script knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bot.core.chat import MAX_UPLOAD_BYTES, Command, Option, OptionType
from bot.core.i18n import formats
from bot.platforms.web.texts import Texts
from bot.platforms.web.visitors import Visitor

_ELSEWHERE = frozenset({OptionType.CHANNEL, OptionType.ROLE})
"""What only communities have."""


def visible(commands: Sequence[Command], visitor: Visitor) -> list[Command]:
    """The commands that this visitor may use, as declared."""
    role = visitor.origin().role
    return [command for command in commands if role.at_least(command.role)]


def makers(commands: Iterable[Command]) -> list[Command]:
    """The commands that make something out of words: those that cannot do without."""
    return [
        command
        for command in commands
        if command.category == "create"
        and any(
            option.rest and option.required and option.type is not OptionType.IMAGE
            for option in command.option_list()
        )
    ]


def takers(commands: Iterable[Command]) -> list[Command]:
    """The commands that work on pictures."""
    return [
        command
        for command in commands
        if any(option.type is OptionType.IMAGE for option in command.option_list())
    ]


def script(
    visitor: Visitor,
    commands: Iterable[Command] = (),
    *,
    mark: str = "",
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
) -> dict[str, Any]:
    """What a page tells its script: the commands it may offer, every sentence it may say."""
    return {
        "mark": mark,
        "locale": visitor.locale,
        "commands": [command_json(command, visitor.locale) for command in commands],
        "max_upload_bytes": max_upload_bytes,
        "max_upload": formats.size(max_upload_bytes),
        "texts": Texts(visitor.locale).script(),
    }


def command_json(command: Command, locale: str) -> dict[str, Any]:
    """Name, summary and options of a command, with the choices as they are now."""
    return {
        "name": command.name,
        "summary": command.summary.in_(locale),
        "category": command.category,
        "examples": [typed(command, example) for example in command.examples],
        "options": [_option_json(option, locale) for option in in_order(command.option_list())],
    }


def in_order(options: Iterable[Option]) -> list[Option]:
    """What is needed first, then the rest as declared; not what the page has none of."""
    here = (option for option in options if option.type not in _ELSEWHERE)
    return sorted(here, key=lambda option: not (option.required or option.rest))


def typed(command: Command, example: str) -> str:
    """An example as one would type it, whether or not it was declared with the command's name."""
    return example if example.startswith("/") else f"/{command.name} {example}".rstrip()


def _option_json(option: Option, locale: str) -> dict[str, Any]:
    return {
        "name": option.name,
        "description": option.description.in_(locale),
        "type": option.type.value,
        "required": option.required,
        "default": option.default,
        "minimum": option.minimum,
        "maximum": option.maximum,
        "rest": option.rest,
        "choices": [
            {"value": choice.value, "label": choice.label} for choice in option.choice_list()
        ],
    }
