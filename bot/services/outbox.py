"""What SQL knows of an answer on its way, step by step. Only the delivery uses this.

An edit repeated changes nothing and is simply repeated. Where a platform can only send
(`SendsOnce`), that a send has begun is recorded first (`sending`). Found begun and unfinished after
a crash, nobody knows whether it arrived: it is sent once more, and never a third time. Every step
is recorded for as long as it takes: a send that the database forgot would be repeated.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from bot.core.domain import Delivery, DeliveryState
from bot.core.ports import Clock, UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.loops import Backoff, pause_s

log = structlog.get_logger(__name__)

_UNDELIVERED = (DeliveryState.PENDING, DeliveryState.SENDING)
_MAX_UNKNOWN = 2  # sends whose outcome nobody knows; after these the answer is not sent again


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take and how soon they are tried again, in seconds."""

    poll_s: float = 0.5  # due dates pass without an event
    deliver_timeout_s: float = 90.0  # uploads over slow lines included
    update_timeout_s: float = 10.0
    first_retry_s: float = 1.0
    longest_retry_s: float = 600.0
    drain_s: float = 5.0  # what is being sent when the studio stops may finish for so long


class Outbox:
    """Records the steps of deliveries."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, metrics: Metrics, pace: Pace) -> None:
        self._uow, self._clock, self._metrics, self._pace = uow, clock, metrics, pace

    async def begin(self, delivery: Delivery) -> Delivery | None:
        """Record that a send which cannot be repeated begins. Found begun already, the last one's
        outcome is unknown. None where it must not be sent (again)."""
        unknown = delivery.unknown_outcomes
        if delivery.state is DeliveryState.SENDING:
            unknown += 1
            self._metrics.unknown_outcomes.labels(delivery.platform).inc()
            log.warning("an answer was being sent when the studio stopped", unknown=unknown)
            if unknown >= _MAX_UNKNOWN:
                await self.conclude(delivery, DeliveryState.GONE, "unknown")
                return None
        values = {"unknown_outcomes": unknown}
        if not await self._move(delivery, DeliveryState.SENDING, values):
            return None
        return replace(delivery, state=DeliveryState.SENDING, unknown_outcomes=unknown)

    async def failed(self, delivery: Delivery, after_s: float | None, *, unknown: bool) -> None:
        """One try came to nothing, or (`unknown`) perhaps did not."""
        self._metrics.deliveries.labels(delivery.platform, "unknown" if unknown else "retry").inc()
        outcomes = delivery.unknown_outcomes + unknown
        if unknown:
            self._metrics.unknown_outcomes.labels(delivery.platform).inc()
            if outcomes >= _MAX_UNKNOWN:
                await self.conclude(delivery, DeliveryState.GONE, "unknown")
                return
        await self.put_off(
            delivery,
            after_s=after_s,
            attempts=delivery.attempts + 1,
            to=DeliveryState.PENDING,
            values={"unknown_outcomes": outcomes},
        )

    async def put_off(
        self,
        delivery: Delivery,
        *,
        attempts: int,
        after_s: float | None = None,
        to: DeliveryState | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Try again later: `after_s` seconds from now, or after a pause that grows. The state stays
        as the caller found it unless it knows better: a send begun earlier is not forgotten."""
        pause = self._pace
        wait_s = pause_s(max(1, attempts), first_s=pause.first_retry_s, cap_s=pause.longest_retry_s)
        if after_s is not None:
            wait_s = after_s * random.uniform(1.0, 1.1)  # never earlier than asked
        at = self._clock() + timedelta(seconds=wait_s)
        values = {**(values or {}), "attempts": attempts, "next_attempt_at": at}
        await self._move(delivery, to or delivery.state, values)

    async def conclude(
        self, delivery: Delivery, to: DeliveryState, outcome: str, message_id: str | None = None
    ) -> None:
        """Nothing more will be sent: delivered, or gone."""
        values = {"message_id": message_id, "unknown_outcomes": delivery.unknown_outcomes}
        if await self._move(delivery, to, values):
            self._metrics.deliveries.labels(delivery.platform, outcome).inc()
            log.info("answer settled", outcome=outcome)

    async def _move(self, delivery: Delivery, to: DeliveryState, values: Mapping[str, Any]) -> bool:
        """Record a step, however long the database needs: forgetting a send would repeat it."""
        backoff = Backoff()
        while True:
            try:
                async with self._uow() as uow:
                    moved = await uow.deliveries.move(
                        delivery.job_id, to, only_from=_UNDELIVERED, values=values
                    )
                    await uow.commit()
                return moved
            except Exception:  # of any store
                self._metrics.loop_errors.labels("delivery").inc()
                log.exception("a delivery could not be recorded; trying again", to=str(to))
            await asyncio.sleep(backoff.next_s())
