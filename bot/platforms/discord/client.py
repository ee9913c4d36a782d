"""discord.py's client as the studio needs it: the fewest intents, an address of the host's choice,
no memory of messages or members, and no view kept anywhere.

Used by `platform`, which builds a new one whenever a connection has ended for good.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import discord
import structlog
from discord.gateway import DiscordWebSocket, KeepAliveHandler
from discord.http import Route
from yarl import URL

log = structlog.get_logger(__name__)

LAUNCHES: Final = 20
"""How often a shard may fail to connect before everything begins anew, at a freshly asked address
(discord.py would repeat itself, and nest its calls, until the interpreter gives up)."""

IDENTIFY_EVERY_S: Final = 5.0
"""Discord takes one new session in this time; discord.py would wait it before each."""

SESSIONS_KEPT: Final = 10
"""Sessions of a day (1000 for most) that are never begun: one too many, and Discord resets the
token. A gateway that crashes and is started again for hours gets there."""

OnInteraction = Callable[[discord.Interaction], Awaitable[None]]
OnGuild = Callable[[discord.Guild], Awaitable[None]]


class Unreachable(Exception):
    """The gateway that the API named takes no connection."""


@dataclass(frozen=True, slots=True)
class Events:
    """What the platform wants to hear of."""

    interaction: OnInteraction
    joined: OnGuild
    left: OnGuild
    ready: Callable[[], Awaitable[None]]


class Client(discord.AutoShardedClient):
    """One connection to Discord: REST, and as many shards as Discord asks for."""

    def __init__(self, events: Events) -> None:
        intents = discord.Intents.none()
        # Guilds tell of channels (which are age-restricted), roles, joining and leaving. Members,
        # presences and message content are privileged, and nothing here needs them.
        intents.guilds = True
        # Nobody here speaks in voice channels, so nobody misses the libraries for it.
        discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False
        super().__init__(
            intents=intents,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=0.5,  # READY names every guild; what they hold may come later
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self._events = events
        self._launches = 0
        self._identifying = asyncio.Lock()
        self._identified_at = -math.inf

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Shards begin one after the other; one that begins anew alone does so at once. Where the
        day's sessions are nearly used up, none is begun."""
        async with self._identifying:
            limits = await self.fetch_session_start_limits()
            if limits.remaining <= SESSIONS_KEPT:
                reset_s = limits.reset_after / 1000
                log.error("Discord allows no more sessions for now", again_in_s=round(reset_s))
                await asyncio.sleep(reset_s)
            now = time.monotonic()
            await asyncio.sleep(max(0.0, self._identified_at + IDENTIFY_EVERY_S - now))
            self._identified_at = time.monotonic()

    async def launch_shard(self, gateway: URL, shard_id: int, *, initial: bool = False) -> None:
        """As discord.py does, but not for ever, and later reconnects go where the API says too."""
        self._launches += 1
        if self._launches > LAUNCHES:
            raise Unreachable(str(gateway))
        DiscordWebSocket.DEFAULT_GATEWAY = gateway
        await super().launch_shard(gateway, shard_id, initial=initial)
        self._launches = 0

    async def close(self) -> None:
        """As discord.py does, which forgets a connection that was still being made: its heartbeats
        would go on, and call into a loop that is closed."""
        try:
            await super().close()
        finally:
            await cut_off()

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """A command, a button, a form, a menu entry, or a word being typed."""
        await self._events.interaction(interaction)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """The bot was added to a guild."""
        await self._events.joined(guild)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed, or the guild is no more; an outage is told otherwise."""
        await self._events.left(guild)

    async def on_ready(self) -> None:
        """Every shard has told of its guilds."""
        await self._events.ready()

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """discord.py connects and resumes by itself."""
        log.info("a connection to Discord's gateway ended", shard=shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        """Nothing was missed."""
        log.info("a connection to Discord's gateway goes on", shard=shard_id)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        """Of one event; the others go on."""
        log.exception("an event of Discord's could not be handled", event_name=event_method)


async def cut_off() -> None:
    """Close every connection to a gateway that this loop still has, with the thread that keeps it
    alive."""
    loop = asyncio.get_running_loop()
    for thread in threading.enumerate():
        if isinstance(thread, KeepAliveHandler) and thread.ws.loop is loop:
            thread.stop()
            with suppress(Exception):  # of a connection that is gone anyway
                async with asyncio.timeout(1.0):
                    await thread.ws.close()


def point_at(api_base: str) -> None:
    """Send every request of discord.py's, this process's all, to this base (`https://…/api/v10`).
    The gateway's address is asked for there."""
    Route.BASE = api_base.rstrip("/")


def keep_secrets() -> None:
    """Let discord.py say nothing below `info`, whatever the studio's level: its details hold
    interactions' tokens, which are as good as passwords while they live."""
    level = max(logging.INFO, logging.getLogger().getEffectiveLevel())
    logging.getLogger("discord").setLevel(level)
