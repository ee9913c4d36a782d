"""Which interactions were acknowledged: until then their tokens edit nothing.

A job may be done before Discord has taken our first response. Known for interactions of this
process; for those of an earlier one the deadline tells. Used by `courier`, `showing`, `progress`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import timedelta
from typing import Final

from bot.core.ports import Clock
from bot.platforms.discord.address import TOKEN_LIFE, Address

_DEADLINE: Final = timedelta(seconds=4)  # Discord's three, and a request's way
_REMEMBER: Final = 4096


class Acknowledged:
    """Remembers tokens that may be used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: OrderedDict[str, asyncio.Event] = OrderedDict()

    def note(self, token: str) -> None:
        """Discord took the first response."""
        self._event(token).set()

    async def wait(self, address: Address) -> None:
        """Until the token may be used, or certainly never will be by us."""
        issued_at = address.expires_at() - TOKEN_LIFE
        left_s = (issued_at + _DEADLINE - self._clock()).total_seconds()
        event = self._event(address.token)
        if left_s <= 0 or event.is_set():
            return
        try:
            async with asyncio.timeout(left_s):
                await event.wait()
        except TimeoutError:
            return

    def _event(self, token: str) -> asyncio.Event:
        event = self._events.setdefault(token, asyncio.Event())
        self._events.move_to_end(token)
        while len(self._events) > _REMEMBER:
            self._events.popitem(last=False)
        return event
