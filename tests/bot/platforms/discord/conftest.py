"""Interactions as Discord sends them, for what reads them without a connection."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import discord
import pytest

APPLICATION, GUILD, CHANNEL, ANNA = "900000000000000001", "500", "600", "700"
_ids = itertools.count(1_300_000_000_000_000_000)

Interaction = Callable[..., discord.Interaction]


@pytest.fixture
async def arrive() -> Interaction:
    """`arrive(data, **payload)`: an interaction of Anna's in a guild to which the bot was added;
    `guild=None` for a direct message."""
    client = discord.Client(intents=discord.Intents(guilds=True))
    us: Any = {"id": APPLICATION, "username": "atelier", "discriminator": "0", "avatar": None}
    client._connection.user = discord.ClientUser(state=client._connection, data=us)

    def build(data: dict[str, Any] | None = None, **payload: Any) -> discord.Interaction:
        in_guild = payload.pop("guild", GUILD) is not None
        user = {"id": ANNA, "username": "anna", "discriminator": "0", "avatar": None}
        member = {
            "user": user | {"global_name": "Anna A."},
            "roles": ["31", "32"],
            "nick": None,
            "joined_at": "2026-01-01T00:00:00+00:00",
            "permissions": "0",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        place: dict[str, Any] = {
            "guild_id": GUILD,
            "guild": {"id": GUILD, "locale": "en-US", "features": []},
            "channel": _channel(),
            "channel_id": CHANNEL,
            "member": member | payload.pop("member", {}),
            "context": 0,
            "authorizing_integration_owners": {"0": GUILD},
        }
        if not in_guild:
            place = {
                "channel": {"id": CHANNEL, "type": 1, "last_message_id": None},
                "channel_id": CHANNEL,
                "user": user | {"global_name": "Anna A."},
                "context": 1,
                "authorizing_integration_owners": {"0": "0"},
            }
        whole: Any = {
            "id": str(next(_ids)),
            "application_id": APPLICATION,
            "type": 2,
            "token": "the-token",
            "version": 1,
            "data": data or {"id": "1", "name": "ping", "type": 1},
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10_485_760,
            "app_permissions": "0",
            **place,
            **payload,
        }
        return discord.Interaction(data=whole, state=client._connection)

    return build


def _channel() -> dict[str, Any]:
    return {
        "id": CHANNEL,
        "type": 0,
        "guild_id": GUILD,
        "name": "studio",
        "position": 0,
        "permission_overwrites": [],
        "parent_id": None,
        "nsfw": False,
        "permissions": "0",
    }
