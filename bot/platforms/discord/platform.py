"""Discord as a platform: what `bot.app` builds, and what keeps it up.

A connection that ends is begun anew, ever more patiently; a token that Discord does not take is
said clearly and tried again now and then, since an outage can look the same. Nothing of this ends
the studio: jobs go on, and answers wait in the outbox until somebody can take them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import discord
import structlog
from aiohttp import web

from bot.core.chat import Command, Menu, Reply, Update
from bot.core.domain import Delivery
from bot.core.ports import Handle
from bot.errors import DeliveryRetry
from bot.metrics import Metrics
from bot.platforms.discord.attachments import Fetcher
from bot.platforms.discord.autocomplete import Suggestions
from bot.platforms.discord.client import Client, Events, Unreachable, keep_secrets, point_at
from bot.platforms.discord.courier import Courier
from bot.platforms.discord.declare import declare
from bot.platforms.discord.expressions import Expressions
from bot.platforms.discord.http_mode import HttpInteractions
from bot.platforms.discord.intake import Intake
from bot.platforms.discord.interactions import Desk
from bot.platforms.discord.reading import Reader
from bot.platforms.discord.settings import DiscordSettings
from bot.platforms.discord.sync import Sync

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)

NOT_CONNECTED_S: Final = 15.0  # until an answer that finds no client is tried again
DRAIN_S: Final = 5.0
_BAD_TOKEN, _BAD_INTENTS = 4004, 4014
# What the host can do about a connection that Discord closed for good, by its close code.
_ADVICE: Final = {
    _BAD_TOKEN: "Discord does not take ATELIER_DISCORD_TOKEN. Make a new one under “Bot” in the "
    "developer portal, put it into the settings and start again.",
    4010: "Discord was told a shard it does not know.",
    4011: "Discord wants more shards; connecting again asks how many.",
    4012: "Discord no longer speaks this version of its gateway. Update discord.py.",
    4013: "Discord does not know the intents asked for. Update discord.py.",
    _BAD_INTENTS: "Discord does not grant the intents asked for.",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait before connecting again, seconds: at first (Discord takes one new session in
    five), at most, and after a refusal that only the host can end."""

    first_s: float = 5.0
    most_s: float = 300.0
    refused_s: float = 900.0


class DiscordPlatform:
    """A `core.ports.Platform`, and one that `Notifies`."""

    name = "discord"

    def __init__(
        self,
        settings: DiscordSettings,
        services: Services,
        commands: Sequence[Command],
        menus: Sequence[Menu],
        *,
        metrics: Metrics,
        gallery_url: str = "",
        patience: Patience | None = None,
        intake: Path | None = None,
    ) -> None:
        """`gallery_url`: where people find the web studio, empty where they cannot. `intake`: the
        file for what is acknowledged before it is admitted."""
        if settings.token is None:
            raise ValueError("Discord needs a token")
        self._settings, self._services = settings, services
        self._patience = patience or Patience()
        self._client: Client | None = None
        self._sending: set[asyncio.Task[Any]] = set()
        self._tries = 0
        self._refused = False
        self._sync = Sync(declare(commands, menus), settings.communities)
        self._courier = Courier(services, settings, self.client, gallery_url=gallery_url)
        self._fetcher = Fetcher(settings.api_base, max_bytes=services.pictures.limits.max_bytes)
        self.desk = Desk(
            Reader(services, commands, menus),
            self._fetcher,
            Suggestions(commands),
            self._courier,
            Expressions(services, self._courier),
            services.house.rules,
            metrics=metrics,
            intake=Intake(intake, services.clock) if intake is not None else None,
        )
        self._http = (
            HttpInteractions(settings.public_key, self.desk.take, self.client, clock=services.clock)
            if settings.public_key
            else None
        )

    def client(self) -> discord.Client:
        """The logged-in client of the moment. Raises DeliveryRetry while there is none."""
        if self._client is None:
            raise DeliveryRetry("Discord is not connected", after_s=NOT_CONNECTED_S)
        return self._client

    # --- core.ports.Platform ---

    async def run(self, handle: Handle) -> None:
        """Take interactions until cancelled, whatever happens to the connection."""
        point_at(self._settings.api_base)
        keep_secrets()
        self.desk.open(handle)
        try:
            while True:
                wait_s = await self._connection()
                await asyncio.sleep(wait_s)
        finally:
            self.desk.close()
            await self._courier.close()
            await self._fetcher.close()

    async def update(self, delivery: Delivery, update: Update) -> None:
        """Show progress on the waiting message."""
        await self._courier.update(delivery, update)

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        """Show the final answer; returns the message's id."""
        with self._on_its_way():
            return await self._courier.deliver(delivery, reply)

    # --- core.ports.Withdraws ---

    async def withdraw(self, delivery: Delivery) -> None:
        """Remove a delivered answer from where it is."""
        with self._on_its_way():
            await self._courier.withdraw(delivery)

    # --- core.ports.Notifies ---

    async def notify(self, channel_external_id: str, reply: Reply, *, nonce: str) -> str:
        """Post a message of ours in a channel; returns its id."""
        with self._on_its_way():
            return await self._courier.notify(channel_external_id, reply, nonce=nonce)

    @contextmanager
    def _on_its_way(self) -> Iterator[None]:
        """What is being sent by this task should be through before the client goes."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (we are in a coroutine)
        self._sending.add(task)
        try:
            yield
        finally:
            self._sending.discard(task)

    # --- bot.http.RouteSource ---

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Where Discord brings interactions, if not over the gateway."""
        return self._http.routes() if self._http is not None else ()

    async def close(self) -> None:
        """The web server stops: finish what it brought."""
        if self._http is not None:
            await self._http.close()

    # --- the connection ---

    async def _connection(self) -> float:
        """One connection from login to its end. Returns the seconds to wait before the next."""
        token = self._settings.token
        assert token is not None  # noqa: S101 (checked when built)
        client = Client(Events(self.desk.take, self._joined, self._left, self._ready))
        try:
            async with client:
                await client.login(token.get_secret_value())
                await self._serve(client)
        except discord.LoginFailure:
            return self._refusal(_BAD_TOKEN)
        except discord.PrivilegedIntentsRequired:
            return self._refusal(_BAD_INTENTS)
        except discord.ConnectionClosed as error:
            return self._refusal(error.code) if error.code in _ADVICE else self._outage(error)
        except (discord.DiscordException, aiohttp.ClientError, OSError, Unreachable) as error:
            return self._outage(error)
        except Exception as error:  # a bug in a library must not end the studio either
            log.exception("the connection to Discord broke")
            return self._outage(error)
        return self._outage(ConnectionError("the connection was closed"))

    async def _serve(self, client: Client) -> None:
        """Until the connection ends; then let what is on its way finish while there is a client."""
        self._client = client
        self.desk.resume()
        sync = asyncio.create_task(self._sync.run(client), name="discord-commands")
        gateway = asyncio.create_task(self._listen(client), name="discord-gateway")
        try:
            # Not awaited itself: `wait_for` in there may lose our cancellation (Python 3.11).
            await asyncio.wait({gateway})
            gateway.result()
        finally:
            sync.cancel()
            await self.desk.settle()
            if self._sending:
                await asyncio.wait(set(self._sending), timeout=DRAIN_S)
            self._client = None
            gateway.cancel()
            await client.close()
            await asyncio.wait({sync, gateway}, timeout=DRAIN_S)

    async def _listen(self, client: Client) -> None:
        """Until the gateway is lost for good; for ever where interactions come over HTTP."""
        if self._settings.public_key:
            self._in_touch()
            await asyncio.get_running_loop().create_future()
        await client.connect()

    def _in_touch(self) -> None:
        log.info("Discord is connected", communities=len(self.client().guilds))
        self._tries, self._refused = 0, False

    async def _ready(self) -> None:
        """The gateway has told of every guild: those that came or went meanwhile are made up
        for."""
        self._in_touch()
        client = self.client()
        here = [str(guild.id) for guild in client.guilds]
        await self._services.communities.present(self.name, here)
        await self._sync.tidy(client)

    async def _joined(self, guild: discord.Guild) -> None:
        await self._services.communities.joined(self.name, str(guild.id))

    async def _left(self, guild: discord.Guild) -> None:
        await self._services.communities.left(self.name, str(guild.id))

    def _refusal(self, code: int) -> float:
        """Discord said no, and only the host can change that; said once, in full."""
        said = log.info if self._refused else log.error
        said("Discord refuses us, the rest of the studio goes on", code=code, what=_ADVICE[code])
        self._refused = True
        return self._patience.refused_s

    def _outage(self, error: Exception) -> float:
        """Discord, or the way to it, is down."""
        least_s = min(self._patience.most_s, self._patience.first_s * 2.0**self._tries)
        wait_s = least_s * random.uniform(1.0, 1.5)  # not every studio at the same moment
        self._tries = min(self._tries + 1, 20)
        log.warning("Discord is out of reach", error=repr(error), again_in_s=round(wait_s, 1))
        return wait_s
