"""Interactions as Discord sends them, for what reads them without a connection; and the platform,
connected to a played Discord, for what needs one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import discord
import pytest
from pydantic import SecretStr

from bot.actions import shared_menus
from bot.core.ports import Handle
from bot.metrics import Metrics
from bot.platforms.discord.platform import DiscordPlatform, Patience
from bot.platforms.discord.settings import DiscordSettings

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


# --- connected ---

SOON = Patience(first_s=0.01, most_s=0.02, refused_s=0.02)

Build = Callable[..., DiscordPlatform]
Connected = Callable[..., AbstractAsyncContextManager[DiscordPlatform]]


@pytest.fixture
def build(played_discord: Any) -> Build:
    """`build(studio, metrics=..., **settings)`: the platform, for the played Discord."""

    def build(studio: Any, metrics: Metrics | None = None, **settings: Any) -> DiscordPlatform:
        given = {"api_base": played_discord.api_base, "token": SecretStr(played_discord.token)}
        return DiscordPlatform(
            DiscordSettings(**given | settings),
            studio.services,
            tuple(studio.commands.values()),
            shared_menus(),
            metrics=metrics or Metrics(),
            patience=SOON,
        )

    return build


@asynccontextmanager
async def running(platform: DiscordPlatform, handle: Handle) -> AsyncIterator[asyncio.Task[None]]:
    """The platform, serving until left."""
    task = asyncio.create_task(platform.run(handle))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def connected(build: Build, played_discord: Any) -> Connected:
    """`async with connected(studio, handle, metrics) as platform:`, in a guild, commands told."""

    @asynccontextmanager
    async def connected(
        studio: Any, handle: Handle, metrics: Metrics | None = None
    ) -> AsyncIterator[DiscordPlatform]:
        played_discord.guild("Cats")
        platform = build(studio, metrics)
        async with running(platform, handle):
            await played_discord.ready()
            await played_discord.until(played_discord.commands)
            yield platform

    return connected
