"""A played Discord with the minimal bot of `tests/fixtures/played_bot.py` connected to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord_server import Channel, Guild, Member, PlayedDiscord
from played_bot import IMAGINE, Bot, Raw, Start, run


@pytest.fixture
async def played_discord() -> AsyncIterator[PlayedDiscord]:
    """As for everybody, and its own answers are judged by Discord's document, too."""
    async with PlayedDiscord(check_answers=True) as discord_:
        yield discord_
        assert not discord_.broken_rules, "\n".join(discord_.broken_rules)


@pytest.fixture
async def start(
    played_discord: PlayedDiscord, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """`await start()` connects a client and registers `/imagine`."""
    monkeypatch.setattr(Route, "BASE", played_discord.api_base)
    # Where a client goes whose session was invalidated.
    gateway = yarl.URL(played_discord.server.gateway_url)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
    running: list[tuple[Bot, asyncio.Task[None]]] = []

    async def started() -> Bot:
        client = Bot()
        task = asyncio.create_task(run(client, played_discord.token))
        running.append((client, task))
        await played_discord.until(lambda: played_discord.connected or task.done(), what="READY")
        assert client.ended is None, client.ended
        await client.register(IMAGINE)
        return client

    yield started
    for client, task in running:
        await client.close()
        await task
        assert not client.failures, client.failures


@pytest.fixture
def cats(played_discord: PlayedDiscord) -> Guild:
    return played_discord.guild("Cats")


@pytest.fixture
def general(played_discord: PlayedDiscord, cats: Guild) -> Channel:
    return played_discord.channel(cats, "general")


@pytest.fixture
def ana(played_discord: PlayedDiscord, cats: Guild) -> Member:
    return played_discord.member(cats, "ana")


@pytest.fixture
async def raw(played_discord: PlayedDiscord) -> AsyncIterator[Raw]:
    async with aiohttp.ClientSession() as session:
        yield Raw(played_discord, session)
