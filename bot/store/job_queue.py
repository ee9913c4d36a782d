"""The waiting line in SQL: who is next, how many are before me, what is running.

Each question is answered from one partial index (see `tables.JobRow`), so that it costs the same
however many jobs have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from bot.core.domain import Job, JobState
from bot.core.ports import ActiveJobs
from bot.store.rows import job_from
from bot.store.schema import table_of
from bot.store.tables import IN_FLIGHT, LIVE, NOT_CANCELLED, QUEUED, JobRow
from bot.store.transaction import Transaction

JOBS = table_of(JobRow)
ORDER = (JOBS.c.start_tag, JOBS.c.created_at, JOBS.c.id)

_MANY = sa.func.count().label("many")
_OF_MEMBER = (
    JOBS.c.account_id == sa.bindparam("account"),
    JOBS.c.community_id == sa.bindparam("community"),
)
_ACTIVE = sa.select(JOBS.c.state, _MANY).where(LIVE, *_OF_MEMBER).group_by(JOBS.c.state)
_LAST_TAG = (
    sa.select(JOBS.c.finish_tag)
    .where(NOT_CANCELLED, *_OF_MEMBER)
    .order_by(JOBS.c.finish_tag.desc())
    .limit(1)
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

    async def active(self, account_id: str, community_id: str) -> ActiveJobs:
        """How many of the member's jobs wait and run."""
        rows = await self._tx.all(_ACTIVE, account=account_id, community=community_id)
        many = {row.state: int(row.many) for row in rows}
        waiting = many.pop(JobState.QUEUED, 0)
        return ActiveJobs(waiting=waiting, running=sum(many.values()))

    async def last_finish_tag(self, account_id: str, community_id: str) -> float | None:
        """The largest finish tag of the member's jobs that were not cancelled."""
        row = await self._tx.one(_LAST_TAG, account=account_id, community=community_id)
        return None if row is None else float(row.finish_tag)

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
