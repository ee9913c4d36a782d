"""The waiting line in SQL: who is next, how many are before me, what is running.

Each question is answered from one partial index (see `tables.JobRow`), so that it costs the same
however many jobs have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bot.core.domain import Job, JobState
from bot.core.ports import Standing
from bot.store.rows import job_from
from bot.store.schema import table_of
from bot.store.tables import IN_FLIGHT, LIVE, NOT_CANCELLED, QUEUED, JobRow, SchedulerClockRow
from bot.store.transaction import Transaction

JOBS = table_of(JobRow)
_clock = table_of(SchedulerClockRow)
ORDER = (JOBS.c.start_tag, JOBS.c.created_at, JOBS.c.id)

_MANY = sa.func.count().label("many")
_OF_MEMBER = (
    JOBS.c.account_id == sa.bindparam("account"),
    JOBS.c.community_id == sa.bindparam("community"),
)
_LIVE_OF_MEMBER = (
    sa.select(
        sa.func.sum(sa.case((JOBS.c.state == JobState.QUEUED.value, 1), else_=0)).label("waiting"),
        sa.func.count().label("live"),
    )
    .where(LIVE, *_OF_MEMBER)
    .subquery()
)
_STANDING = sa.select(
    _LIVE_OF_MEMBER.c.waiting,
    _LIVE_OF_MEMBER.c.live,
    sa.select(sa.func.max(JOBS.c.finish_tag))
    .where(NOT_CANCELLED, *_OF_MEMBER)
    .scalar_subquery()
    .label("last_finish_tag"),
    sa.select(_clock.c.virtual_time).scalar_subquery().label("virtual_time"),
)
_WAITING_BEFORE = sa.select(_MANY).where(
    QUEUED,
    sa.tuple_(*ORDER)
    < sa.tuple_(*(sa.bindparam(column.name, type_=column.type) for column in ORDER)),
)
_QUEUED_COUNT = sa.select(_MANY).select_from(JOBS).where(QUEUED)


class SqlJobQueue:
    """The half of the port `JobStore` that looks at live jobs."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def standing(self, account_id: str, community_id: str) -> Standing:
        """Where a member stands, in one statement."""
        row = await self._tx.one(_STANDING, account=account_id, community=community_id)
        if row is None:
            return Standing(0, 0, 0.0, 0.0)
        waiting = int(row.waiting or 0)
        return Standing(
            waiting, int(row.live) - waiting, row.last_finish_tag or 0.0, row.virtual_time or 0.0
        )

    async def fair_head(self, limit: int, *, skip: Sequence[tuple[str, str]] = ()) -> list[Job]:
        """The first queued jobs in the fair order, without those of the skipped members."""
        return [job_from(row) for row in await self._tx.all(fair_head_query(limit, skip))]

    async def waiting_before(self, job: Job) -> int:
        """How many queued jobs come before this one."""
        row = await self._tx.one(
            _WAITING_BEFORE, start_tag=job.start_tag, created_at=job.created_at, id=job.id
        )
        return 0 if row is None else int(row.many)

    async def queued_count(self) -> int:
        """How many jobs wait in all."""
        row = await self._tx.one(_QUEUED_COUNT)
        return 0 if row is None else int(row.many)

    async def in_flight(self) -> list[Job]:
        """All jobs that are sent or running."""
        rows = await self._tx.all(sa.select(JOBS).where(IN_FLIGHT).order_by(JOBS.c.sent_at))
        return [job_from(row) for row in rows]

    async def live_of(self, account_id: str, community_id: str | None = None) -> list[Job]:
        """An account's live jobs, oldest first; in one community if one is named."""
        query = sa.select(JOBS).where(LIVE, JOBS.c.account_id == account_id)
        if community_id is not None:
            query = query.where(JOBS.c.community_id == community_id)
        rows = await self._tx.all(query.order_by(JOBS.c.created_at, JOBS.c.id))
        return [job_from(row) for row in rows]


def fair_head_query(limit: int, skip: Sequence[tuple[str, str]] = ()) -> sa.Select[Any]:
    """The pick itself: a walk along the head of `ix_jobs_fair_order`."""
    query = sa.select(JOBS).where(QUEUED).order_by(*ORDER).limit(limit)
    if skip:
        query = query.where(sa.tuple_(JOBS.c.account_id, JOBS.c.community_id).not_in(list(skip)))
    return query
