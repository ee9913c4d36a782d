"""A minimal bot on the real discord.py client, connected to the played Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import discord
import pytest
from discord import app_commands
from discord.http import Route
from discord_server import PlayedDiscord

OnInteraction = Callable[[discord.Interaction], Awaitable[None]]


class Bot(discord.AutoShardedClient):
    """Registers what it is given, and answers interactions with the function it is given."""

    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True), max_messages=None, guild_ready_timeout=0.05
        )
        self.tree = app_commands.CommandTree(self)
        self.on: OnInteraction | None = None
        self.failures: list[BaseException] = []
        self.heard: list[str] = []
        self.ended: BaseException | None = None

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        if self.on is not None:
            try:
                await self.on(interaction)
            except Exception as error:
                self.failures.append(error)

    async def on_socket_event_type(self, name: str) -> None:
        self.heard.append(name)


async def _run(bot: Bot, token: str) -> None:
    try:
        await bot.start(token)
    except Exception as error:
        bot.ended = error


@pytest.fixture
async def bot(
    played_discord: PlayedDiscord, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Awaitable[Bot]]]:
    """`await bot()` starts the client against the played Discord and waits for its READY."""
    monkeypatch.setattr(Route, "BASE", played_discord.api_base)
    running: list[tuple[Bot, asyncio.Task[None]]] = []

    async def start() -> Bot:
        client = Bot()
        task = asyncio.create_task(_run(client, played_discord.token))
        running.append((client, task))
        await played_discord.until(lambda: played_discord.connected or task.done(), what="READY")
        assert client.ended is None, client.ended
        return client

    yield start
    for client, task in running:
        await client.close()
        await task
