"""What the bot asks of a community when it is invited: as little as it can do its work with.

Numbers only, no client library: `checkup` compares them with what was granted, and `atelier doctor`
prints the link.
Source: Discord's documentation, topics/permissions and topics/oauth2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ADMINISTRATOR: Final = 1 << 3

NEEDED: Final[Mapping[str, int]] = {
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Attach Files": 1 << 15,
    "Send Messages in Threads": 1 << 38,
}
"""Without these, an answer that comes after the interaction has expired finds no channel."""

WANTED: Final[Mapping[str, int]] = {
    "Create Expressions": 1 << 43,  # Make emoji, Make sticker, Add to soundboard
    "Send Voice Messages": 1 << 46,  # sounds that play in place
}
"""Without these, everything works but what they are named for."""

SCOPES: Final = ("bot", "applications.commands")


def permissions() -> int:
    """All that is asked for, as Discord's integer."""
    return sum({**NEEDED, **WANTED}.values())


def link(application_id: str) -> str:
    """Where the owner of a community adds the bot."""
    return (
        "https://discord.com/oauth2/authorize"
        f"?client_id={application_id}&permissions={permissions()}&scope={'+'.join(SCOPES)}"
    )


def missing(granted: int, asked: Mapping[str, int] = NEEDED) -> list[str]:
    """The names of what was not granted. An administrator has everything."""
    if granted & ADMINISTRATOR:
        return []
    return [name for name, bit in asked.items() if not granted & bit]


def named(names: Iterable[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(f"“{name}”" for name in listed[:most]) + more
