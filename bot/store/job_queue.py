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


class SqlJobQueue:
    """The half of the port `JobStore` that looks at live jobs."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def active(self, account_id: str, community_id: str) -> ActiveJobs:
        """How many of the member's jobs wait and run."""
        rows = await self._tx.all(
            sa.select(JOBS.c.state, sa.func.count().label("many"))
            .where(LIVE, *_of_member(account_id, community_id))
            .group_by(JOBS.c.state)
        )
        many = {row.state: int(row.many) for row in rows}
        waiting = many.pop(JobState.QUEUED, 0)
        return ActiveJobs(waiting=waiting, running=sum(many.values()))

    async def last_finish_tag(self, account_id: str, community_id: str) -> float | None:
        """The largest finish tag of the member's jobs that were not cancelled."""
        row = await self._tx.one(
            sa.select(JOBS.c.finish_tag)
            .where(NOT_CANCELLED, *_of_member(account_id, community_id))
            .order_by(JOBS.c.finish_tag.desc())
            .limit(1)
        )
        return None if row is None else float(row.finish_tag)

    async def fair_head(self, limit: int, *, skip: Sequence[tuple[str, str]] = ()) -> list[Job]:
        """The first queued jobs in the fair order, without those of the skipped members."""
        return [job_from(row) for row in await self._tx.all(fair_head_query(limit, skip))]

    async def waiting_before(self, job: Job) -> int:
        """How many queued jobs come before this one."""
        place = sa.tuple_(
            sa.literal(job.start_tag, JOBS.c.start_tag.type),
            sa.literal(job.created_at, JOBS.c.created_at.type),
            sa.literal(job.id, JOBS.c.id.type),
        )
        row = await self._tx.one(
            sa.select(sa.func.count().label("many")).where(QUEUED, sa.tuple_(*ORDER) < place)
        )
        return 0 if row is None else int(row.many)

    async def queued_count(self) -> int:
        """How many jobs wait in all."""
        row = await self._tx.one(
            sa.select(sa.func.count().label("many")).select_from(JOBS).where(QUEUED)
        )
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


def _of_member(account_id: str, community_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (JOBS.c.account_id == account_id, JOBS.c.community_id == community_id)
