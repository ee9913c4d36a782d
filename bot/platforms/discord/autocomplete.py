"""What Discord suggests while an option is typed: from memory, since it waits three seconds only,
asks at every pause in typing and shows an error in the middle of a word.

Used by `interactions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import discord
import structlog

from bot.core.chat import Command, Option, OptionType
from bot.platforms.discord.declare import FROM_SUFFIX, MAX_CHOICE, MAX_CHOICES
from bot.platforms.discord.reading import payload

log = structlog.get_logger(__name__)

PAST: Final = ("last", *(f"last#{n}" for n in range(1, 5)))
"""How pictures of the latest answer are called (`services.pictures`)."""


class Suggestions:
    """The choices of the declared commands, as they are now."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands = {command.name: command for command in commands}

    async def answer(self, interaction: discord.Interaction) -> None:
        """Suggest values for the option that is being typed. Too late is not worth a word: the
        member has typed on by then."""
        data = payload(interaction)
        found = self.suggest(str(data.get("name")), data.get("options") or ())
        try:
            await interaction.response.autocomplete(
                [discord.app_commands.Choice(name=name, value=value) for name, value in found]
            )
        except (discord.HTTPException, discord.InteractionResponded) as error:
            log.info("suggestions came too late", error=str(error))

    def suggest(
        self, name: str, options: Iterable[Mapping[str, Any]]
    ) -> list[tuple[str, str | int]]:
        """At most 25 labels and values: those that begin with what was typed come first, then those
        that contain it. Without anything typed, the first ones."""
        focused = next((option for option in options if option.get("focused")), None)
        command = self._commands.get(name)
        if focused is None or command is None:
            return []
        values = _values(command.option_list(), str(focused["name"]))
        typed = str(focused.get("value") or "").strip().casefold()
        ranked = sorted(
            (rank, place)
            for place, (label, value) in enumerate(values)
            if (rank := _rank(typed, label, value)) is not None
        )
        return [values[place] for _, place in ranked[:MAX_CHOICES]]


def _values(options: Iterable[Option], name: str) -> list[tuple[str, str | int]]:
    for option in options:
        if option.name == name:
            return [
                (choice.label[:MAX_CHOICE], choice.value)
                for choice in option.choice_list()
                if len(str(choice.value)) <= MAX_CHOICE
            ]
        if option.type is OptionType.IMAGE and f"{option.name}{FROM_SUFFIX}" == name:
            return [(one, one) for one in PAST]
    return []


def _rank(typed: str, label: str, value: str | int) -> int | None:
    """0 begins with what was typed, 1 contains it, None does neither."""
    texts = (label.casefold(), str(value).casefold())
    if any(text.startswith(typed) for text in texts):
        return 0
    return 1 if any(typed in text for text in texts) else None
