"""A message of Discord's as a value: its parts, its files, and where it is going to be. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bot.platforms.discord.components import Component
from bot.platforms.discord.packing import Packed

V2: Final = 1 << 15  # the message is made of components, for ever
EPHEMERAL: Final = 1 << 6


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is going to be. `others`: whether anybody but the member reads along. `link`
    gives the address of an artifact in the web studio, None where there is none."""

    locale: str
    limit_bytes: int
    others: bool = True
    link: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to be sent: all its parts, and the files they show."""

    components: tuple[Component, ...]
    files: tuple[Packed, ...] = ()
    mentions: tuple[str, ...] = ()  # ids of the people it may ping

    @property
    def new_files(self) -> tuple[Packed, ...]:
        """Those that travel with the request, in the order of their `files[n]`."""
        return tuple(one for one in self.files if one.data is not None)

    def payload(self, *, ephemeral: bool = False) -> dict[str, Any]:
        """The JSON of a message, for sending and editing alike. Attachments not named are gone
        after an edit."""
        fresh = 0
        attachments: list[dict[str, Any]] = []
        for one in self.files:
            if one.data is None:
                attachments.append({"id": one.attachment_id})
                continue
            attachments.append({"id": str(fresh), "filename": one.filename})
            fresh += 1
        return {
            "components": list(self.components),
            "flags": V2 | (EPHEMERAL if ephemeral else 0),
            "attachments": attachments,
            "allowed_mentions": {"parse": [], "users": list(self.mentions)},
        }
