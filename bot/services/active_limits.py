"""How many jobs of each member may run at once, remembered for a moment. The dispatcher asks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bot.core.domain import Limits, Member
from bot.core.ports import Clock, UnitOfWork
from bot.errors import SettingsError
from bot.services.fairness import MemberKey

log = structlog.get_logger(__name__)

_LIVE = timedelta(seconds=30)  # a moderator's new limits hold after at most this
_MAX_REMEMBERED = 10_000


class ReadsLimits(Protocol):
    """What is needed of `QuotaService`."""

    async def limits_for(self, uow: UnitOfWork, member: Member) -> Limits: ...


class ActiveLimits:
    """`Limits.active_jobs` by member."""

    def __init__(self, quota: ReadsLimits, clock: Clock) -> None:
        self._quota, self._clock = quota, clock
        self._known: dict[MemberKey, tuple[datetime, int]] = {}

    async def of(self, uow: UnitOfWork, key: MemberKey) -> int:
        """How many of a member's jobs may run at once; at least 1, since a queue that lets nothing
        out would only hide from its member that they may do nothing."""
        now = self._clock()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        limit = max(1, (await self._read(uow, key)).active_jobs)
        self._known[key] = (now + _LIVE, limit)
        return limit

    async def _read(self, uow: UnitOfWork, key: MemberKey) -> Limits:
        try:
            if (member := await uow.accounts.member(*key)) is not None:
                return await self._quota.limits_for(uow, member)
        except SettingsError as error:  # one community's slip must not stop the others
            log.error(
                "limits cannot be read; the defaults hold", community=key[1], error=str(error)
            )
        return Limits()
