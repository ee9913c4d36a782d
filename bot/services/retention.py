"""Forgets in time: answers older than a community keeps them, and everything of communities that
were left long ago. Built and run by `bot.app`.

Erasing goes by small transactions, oldest first, so that members notice nothing and a gateway that
stops in between goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from bot.core.house import Community
from bot.core.ports import Clock, UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.communities import KEPT_FOR
from bot.services.erasing import Eraser
from bot.services.house_rules import MAX_RETENTION_DAYS, STUDIO
from bot.services.loops import Alarm, forever
from bot.services.transactions import repeated

log = structlog.get_logger(__name__)

KEY: Final = "retention_days"
_EVERY_S: Final = 3600.0
_AT_ONCE: Final = 20  # jobs in a transaction


class Retention:
    """Erases what nobody wanted kept."""

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, eraser: Eraser, metrics: Metrics
    ) -> None:
        self._uow, self._clock, self._eraser, self._metrics = uow, clock, eraser, metrics
        self._awake = Alarm()

    async def run(self) -> None:
        """Serve until cancelled."""
        await forever("retention", self._turn, self._metrics)

    async def _turn(self) -> None:
        await self.sweep()
        await self._awake.wait(_EVERY_S)

    async def sweep(self) -> int:
        """Erase all that is due; returns how many jobs that were."""
        erased = await self._old()
        for community in await self._left():
            erased += await self._empty(community)
        if erased:
            log.info("what was due was erased", jobs=erased)
        return erased

    async def _old(self) -> int:
        """What communities keep for so long and no longer; the studio's rule is for those without
        one of their own, where 0 days means for ever."""
        async with self._uow(write=False) as uow:
            days = {
                place: kept
                for place, kept in (await uow.settings.of_key(KEY)).items()
                if isinstance(kept, int) and 0 <= kept <= MAX_RETENTION_DAYS
            }
        erased = 0
        for place, kept in days.items():
            if kept == 0:
                continue
            before = self._clock() - timedelta(days=kept)
            if place == STUDIO:
                own = [other for other in days if other != STUDIO]
                erased += await self._erase(before, None, excluding=own)
            else:
                erased += await self._erase(before, [place])
        return erased

    async def _left(self) -> list[Community]:
        async with self._uow(write=False) as uow:
            return await uow.communities.left_before(self._clock() - KEPT_FOR, limit=100)

    async def _empty(self, community: Community) -> int:
        """Erase everything of a community that was left, favourites included, then the rest that is
        its own; unless it came back in the meantime."""
        erased = await self._erase(self._clock(), [community.id], favorites=True)

        async def forget() -> None:
            async with self._uow() as uow:
                now = await uow.communities.get(community.id)
                if now is not None and now.left_at is not None:
                    await uow.communities.forget(community.id, at=self._clock())
                    await uow.commit()

        await repeated(forget)
        log.info("a community that was left is forgotten", community=community.id)
        return erased

    async def _erase(
        self,
        before: datetime,
        places: Sequence[str] | None,
        *,
        excluding: Sequence[str] = (),
        favorites: bool = False,
    ) -> int:
        erased = 0
        while True:
            async with self._uow(write=False) as uow:
                due = await uow.jobs.to_erase(
                    before,
                    community_ids=places,
                    excluding=excluding,
                    favorites=favorites,
                    limit=_AT_ONCE,
                )
            if not due:
                return erased
            await self._eraser.erase(*due)
            erased += len(due)
