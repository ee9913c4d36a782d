"""The outbox in SQL: where answers must go and how far they got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.core.domain import Delivery, DeliveryState
from bot.store.rows import delivery_from, delivery_values
from bot.store.schema import table_of
from bot.store.tables import UNDELIVERED, DeliveryRow
from bot.store.transaction import Transaction

_deliveries = table_of(DeliveryRow)

_OF_JOB = sa.select(_deliveries).where(_deliveries.c.job_id == sa.bindparam("of_job"))
_MOVE = sa.update(_deliveries).where(
    _deliveries.c.job_id == sa.bindparam("of_job"),
    _deliveries.c.state.in_(sa.bindparam("only_from", expanding=True)),
)


class SqlDeliveries:
    """The port `DeliveryStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def get(self, job_id: str) -> Delivery | None:
        """The delivery of a job."""
        row = await self._tx.one(_OF_JOB, of_job=job_id)
        return None if row is None else delivery_from(row)

    async def due(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Pending and sending ones whose next attempt is due, oldest first."""
        attempt = _deliveries.c.next_attempt_at
        rows = await self._tx.all(
            sa.select(_deliveries)
            .where(UNDELIVERED, sa.or_(attempt.is_(None), attempt <= now))
            .order_by(attempt.nulls_first())
            .limit(limit)
        )
        return [delivery_from(row) for row in rows]

    async def move(
        self,
        job_id: str,
        to: DeliveryState,
        *,
        only_from: Sequence[DeliveryState],
        values: Mapping[str, Any] | None = None,
    ) -> bool:
        """Compare and set; returns whether it did."""
        changed = await self._tx.change(
            _MOVE,
            of_job=job_id,
            only_from=[str(state) for state in only_from],
            **delivery_values({**(values or {}), "state": to}),
        )
        return changed == 1

    async def set_address(self, job_id: str, address: Mapping[str, Any]) -> None:
        """Record where the waiting message is."""
        await self._tx.change(
            sa.update(_deliveries)
            .where(_deliveries.c.job_id == job_id)
            .values(address=dict(address))
        )
