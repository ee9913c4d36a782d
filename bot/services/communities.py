"""Communities that the studio is sent away from: a clock runs, and when it is over what was made
there is erased (`retention`). Platforms tell; coming back stops the clock.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import structlog

from bot.core.ports import Clock, UnitOfWorkFactory
from bot.services.transactions import repeated

log = structlog.get_logger(__name__)

KEPT_FOR: Final = timedelta(days=30)


class CommunityService:
    """Which communities the studio is in."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow, self._clock = uow, clock

    async def left(self, platform: str, *external_ids: str) -> None:
        """The studio was sent away from these. Told twice, the first time counts; a place that the
        platform cannot reach for a while was not left."""
        changed = await self._set(platform, external_ids, leaving=True)
        if changed:
            log.info("communities were left; their content is kept for a while", count=changed)

    async def joined(self, platform: str, *external_ids: str) -> None:
        """The studio is (back) in these."""
        changed = await self._set(platform, external_ids, leaving=False)
        if changed:
            log.info("communities were entered again", count=changed)

    async def present(self, platform: str, external_ids: Collection[str]) -> None:
        """All communities of the platform that the studio is in now: what was left or entered while
        nobody listened is made up for."""
        async with self._uow(write=False) as uow:
            known = {community.external_id for community in await uow.communities.here(platform)}
        await self.joined(platform, *external_ids)
        await self.left(platform, *sorted(known.difference(external_ids)))

    async def _set(self, platform: str, external_ids: Collection[str], *, leaving: bool) -> int:
        at = self._clock() if leaving else None
        if not external_ids:
            return 0

        async def once() -> int:
            async with self._uow() as uow:
                changed = await uow.communities.set_left(platform, list(external_ids), at)
                await uow.commit()
                return changed

        return await repeated(once)
