"""Brings open cases to their community's moderators' channel. Built and run by `bot.app`.

A case is posted until that is recorded: the nonce lets a platform recognise the second copy after
a crash in between. Where no channel was chosen, or it is gone, the case waits in `/cases`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from bot.core.chat import Reply
from bot.core.house import Case
from bot.core.ports import Clock, Notifies, Platform, UnitOfWorkFactory
from bot.core.signing import Signer
from bot.errors import DEFAULT_LANGUAGE, DeliveryGone, DeliveryRetry
from bot.metrics import Metrics
from bot.services import case_answers
from bot.services.cases import CaseService
from bot.services.house_rules import STUDIO, HouseRules, read
from bot.services.loops import Alarm, forever, pause_s
from bot.services.rule_book import SETTINGS
from bot.services.transactions import repeated

log = structlog.get_logger(__name__)

_POLL_S: Final = 30.0
_NOWHERE_S: Final = 600.0  # no channel was chosen; one may be
_GONE_S: Final = 3600.0
_LONGEST_S: Final = 3600.0
_TIMEOUT_S: Final = 30.0
_AT_ONCE: Final = 20
MAX_NONCE: Final = 25


class CasePosting:
    """A loop over the cases that no channel has."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        cases: CaseService,
        platforms: Mapping[str, Platform],
        signer: Signer,
        metrics: Metrics,
    ) -> None:
        """`platforms` by name; may be filled later."""
        self._uow, self._clock, self._cases = uow, clock, cases
        self._platforms, self._signer, self._metrics = platforms, signer, metrics
        self._awake = Alarm()
        cases.on_opened = self._awake.ring

    async def run(self) -> None:
        """Serve until cancelled."""
        await forever("cases", self._turn, self._metrics)

    async def _turn(self) -> None:
        await self.post_due()
        await self._awake.wait(_POLL_S)

    async def post_due(self) -> int:
        """Try all that are due, one after the other; returns how many were posted."""
        async with self._uow(write=False) as uow:
            due = await uow.cases.due(self._clock(), limit=_AT_ONCE)
        return sum([await self._surely(case) for case in due])

    async def _surely(self, case: Case) -> bool:
        """Post one; whatever happens to it, the others have their turn."""
        try:
            return await self._post(case)
        except Exception:
            log.exception("a case could not be looked after", case=case.id)
            return await self._put_off(case, _NOWHERE_S, "error")

    async def _post(self, case: Case) -> bool:
        view = await self._cases.view(case.id)
        rules = await self._rules(case)
        platform: object = self._platforms.get(view.community.platform)
        channel = rules.moderators_channel
        if channel is None or not isinstance(platform, Notifies):
            return await self._put_off(case, _NOWHERE_S, "nowhere")
        locale = rules.language or DEFAULT_LANGUAGE
        reply = case_answers.reply(self._signer, view, self._clock(), locale)
        return await self._try(case, platform, view.community.platform, channel.id, reply)

    async def _try(
        self, case: Case, platform: Notifies, name: str, channel: str, reply: Reply
    ) -> bool:
        failures = case.attempts + 1
        after_s = pause_s(failures, first_s=2.0, cap_s=_LONGEST_S)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                message_id = await platform.notify(channel, reply, nonce=case.id[:MAX_NONCE])
        except DeliveryGone as error:
            log.warning("the moderators' channel is gone", case=case.id, error=str(error))
            return await self._put_off(case, _GONE_S, "gone", name)
        except DeliveryRetry as error:
            return await self._put_off(case, error.after_s or after_s, "retry", name)
        except Exception:  # one case in trouble must not keep the others from being posted
            log.exception("a case could not be posted", case=case.id)
            return await self._put_off(case, after_s, "error", name)
        await self._posted(case, message_id)
        self._metrics.case_posts.labels(name, "posted").inc()
        return True

    async def _rules(self, case: Case) -> HouseRules:
        async with self._uow(write=False) as uow:
            found = await uow.settings.get_many([STUDIO, case.community_id], SETTINGS)
        return read(found, case.community_id)

    async def _posted(self, case: Case, message_id: str) -> None:
        async def once() -> None:
            async with self._uow() as uow:
                await uow.cases.posted(case.id, at=self._clock(), message_id=message_id)
                await uow.commit()

        await repeated(once)

    async def _put_off(self, case: Case, after_s: float, outcome: str, name: str = "") -> bool:
        async def once() -> None:
            async with self._uow() as uow:
                until = self._clock() + timedelta(seconds=after_s)
                await uow.cases.put_off(case.id, until=until, attempts=case.attempts + 1)
                await uow.commit()

        await repeated(once)
        self._metrics.case_posts.labels(name or "none", outcome).inc()
        return False
