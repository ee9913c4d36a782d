"""Cases in SQL: opened by members, posted by a loop, closed by moderators."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.core.house import Case, CaseState
from bot.store.house_tables import UNPOSTED, CaseRow
from bot.store.schema import table_of
from bot.store.transaction import Transaction

_cases = table_of(CaseRow)
_FIELDS = tuple(field.name for field in fields(Case))
_IS_OPEN = _cases.c.state == CaseState.OPEN.value


class SqlCases:
    """The port `CaseStore`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def add(self, case: Case) -> bool:
        """Open, once for each reporter and job."""
        values = {name: getattr(case, name) for name in _FIELDS} | {"state": str(case.state)}
        return await self._tx.add_new(_cases, values)

    async def get(self, case_id: str) -> Case | None:
        """One by its id."""
        row = await self._tx.one(sa.select(_cases).where(_cases.c.id == case_id))
        return None if row is None else _case(row)

    async def open_in(self, community_id: str | None, *, limit: int) -> list[Case]:
        """Open cases, the oldest first."""
        query = sa.select(_cases).where(_IS_OPEN)
        if community_id is not None:
            query = query.where(_cases.c.community_id == community_id)
        rows = await self._tx.all(query.order_by(_cases.c.opened_at, _cases.c.id).limit(limit))
        return [_case(row) for row in rows]

    async def open_by(self, reporter_account_id: str) -> int:
        """How many open cases somebody has reported."""
        row = await self._tx.one(
            sa.select(sa.func.count().label("open"))
            .select_from(_cases)
            .where(_IS_OPEN, _cases.c.reporter_account_id == reporter_account_id)
        )
        return 0 if row is None else int(row.open)

    async def due(self, now: datetime, *, limit: int) -> list[Case]:
        """Those to be posted, the longest due first."""
        rows = await self._tx.all(
            sa.select(_cases)
            .where(UNPOSTED, _cases.c.next_attempt_at <= now)
            .order_by(_cases.c.next_attempt_at, _cases.c.id)
            .limit(limit)
        )
        return [_case(row) for row in rows]

    async def posted(self, case_id: str, *, at: datetime, message_id: str) -> None:
        """The moderators' channel has it."""
        await self._tx.change(
            sa.update(_cases)
            .where(_cases.c.id == case_id)
            .values(posted_at=at, message_id=message_id)
        )

    async def put_off(self, case_id: str, *, until: datetime, attempts: int) -> None:
        """Try again then."""
        await self._tx.change(
            sa.update(_cases)
            .where(_cases.c.id == case_id)
            .values(next_attempt_at=until, attempts=attempts)
        )

    async def close(self, case_id: str, to: CaseState, *, resolution: str, at: datetime) -> bool:
        """Close an open case; False where it was closed already."""
        changed = await self._tx.change(
            sa.update(_cases)
            .where(_cases.c.id == case_id, _IS_OPEN)
            .values(state=str(to), resolution=resolution, closed_at=at)
        )
        return changed == 1


def _case(row: sa.Row[Any]) -> Case:
    values = {name: row._mapping[name] for name in _FIELDS}
    return Case(**values | {"state": CaseState(row.state)})
