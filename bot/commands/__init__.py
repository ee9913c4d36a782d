"""The slash commands, one file each; the file's name is the command's name.

To add one, add `commands/x.py` that declares it once, as a constant

    COMMAND = Command(name="x", summary=Text(en=..., zh=...), run=_run, options=(...))

or, where the declaration depends on the models or commands there are, as a function

    def command(offered: Offered) -> Command | None: ...

(None where no model on offer can do it) and its test. It is then on every platform, in /help and in
the docs. Files do not import each other; what answers share is in `bot.core.answers`, what
commands that make something share in `bot.services.making`. Files that begin with `_` are not
commands.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bot.core.chat import Command, Text

if TYPE_CHECKING:
    from bot.services.models import ModelOffers


@dataclass(frozen=True, slots=True)
class Offered:
    """What a declaration may depend on. `commands` is filled while commands are loaded: look into
    it when a choice is shown, not when the command is declared."""

    offers: ModelOffers
    commands: Mapping[str, Command]


class BadCommand(Exception):
    """A command file is not what it should be; the message says which and why."""


def load_commands(offers: ModelOffers) -> Mapping[str, Command]:
    """All commands of this folder by name. Raises BadCommand, so that a mistake is seen at the
    start and not by a member."""
    commands: dict[str, Command] = {}
    offered = Offered(offers, MappingProxyType(commands))
    found: dict[str, Command] = {}
    seen: set[str] = set()
    # Folder by folder, since a walk over all of them at once would hide the second of two files.
    for module in (module for folder in __path__ for module in pkgutil.iter_modules([folder])):
        if module.name.startswith("_"):
            continue
        if module.name in seen:
            raise BadCommand(f"two files declare /{module.name}")
        declared = _declared(module.name, offered)
        seen.add(module.name)
        if declared is not None:
            _check(module.name, declared)
            found[module.name] = declared
    # What makes something comes first wherever commands are listed, then what changes something.
    commands.update(sorted(found.items(), key=_place))
    return offered.commands


def _place(item: tuple[str, Command]) -> tuple[bool, int, str]:
    name, command = item
    order = {"create": 0, "change": 1}
    return not command.lead, order.get(command.category, len(order)), name


def _declared(name: str, offered: Offered) -> Command | None:
    module = importlib.import_module(f"{__name__}.{name}")
    constant, function = getattr(module, "COMMAND", None), getattr(module, "command", None)
    if (constant is None) == (function is None):
        raise BadCommand(f"commands/{name}.py needs COMMAND or command(offered), one of them")
    declared = constant if function is None else function(offered)
    if declared is None and function is not None:
        return None  # nothing on offer can do it
    if not isinstance(declared, Command):
        raise BadCommand(f"commands/{name}.py declares a {type(declared).__name__}, not a Command")
    return declared


def _check(name: str, command: Command) -> None:
    if command.name != name:
        raise BadCommand(f"commands/{name}.py declares /{command.name}; they must be the same")
    _check_languages(f"/{name}", command.summary)
    options = command.option_list()
    names = [option.name for option in options]
    if len(set(names)) != len(names):
        raise BadCommand(f"/{name} has two options of one name among {', '.join(names)}")
    if sum(option.rest for option in options) > 1:
        raise BadCommand(f"/{name} has more than one option that takes the plain words")
    for option in options:
        _check_languages(f"/{name} {option.name}", option.description)


def _check_languages(where: str, text: Text) -> None:
    if not (text.en.strip() and text.zh.strip()):
        raise BadCommand(f"{where} lacks a text in one of the languages")
