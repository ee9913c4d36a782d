"""Brings replies to people on Discord: the one place that decides how and where a message is shown.

Used by `platform` and `interactions` (and by whoever serves interactions over HTTP). `show` answers
an interaction that is here now; `update` and `deliver` reach a waiting message later, perhaps after
a restart; `notify` and `direct` speak first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import discord

from bot.core.chat import Reply, Update
from bot.core.domain import Delivery
from bot.platforms.discord.settings import DiscordSettings

if TYPE_CHECKING:
    from bot.services import Services


class Courier:
    """Shows replies. Keeps no state that matters: everything it needs later is in the address."""

    def __init__(
        self,
        services: Services,
        settings: DiscordSettings,
        client: Callable[[], discord.Client],
        *,
        gallery_url: str = "",
    ) -> None:
        """`client` gives the logged-in client of the moment (a new one after a reconnect).
        `gallery_url`: the address of the web studio for people, empty where there is none."""
        self._services, self._settings, self._client = services, settings, client
        self._gallery_url = gallery_url

    async def show(
        self, interaction: discord.Interaction, reply: Reply, *, locale: str, limit_bytes: int
    ) -> None:
        """Show the reply as the answer to this interaction: as its first response (a message, a
        modal, an edit of the message the button hangs on; a ticket is deferred) or, where it was
        acknowledged before, as an edit of `@original` or a follow-up. Never raises for what
        Discord refuses: that is logged, and said to the member where it can be."""

    async def update(self, delivery: Delivery, update: Update) -> None:
        """Take news of a job for its waiting message. Returns at once; the newest news is shown
        when its turn comes, and nothing after `deliver` has begun."""

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        """Show the final answer; returns the id of its message. Repeating it shows it once.

        Raises DeliveryRetry (5xx, 429, network) and DeliveryGone (nowhere left to show it)."""
        return ""

    async def notify(self, channel_id: str, reply: Reply, *, nonce: str, locale: str = "en") -> str:
        """A message of ours in a channel; returns its id. `nonce`: at most 25 characters; the same
        one within minutes posts nothing twice. Raises DeliveryRetry and DeliveryGone."""
        return ""

    async def direct(self, identity: str, reply: Reply, *, nonce: str, locale: str = "en") -> str:
        """A direct message to a person; returns its id. Raises DeliveryRetry and DeliveryGone."""
        return ""

    async def close(self) -> None:
        """End the edits that are on their way."""
