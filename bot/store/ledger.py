"""The append-only ledger in SQL. There is no way here to change or remove an entry."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from bot.core.domain import LedgerEntry, Usage
from bot.store.rows import entry_from, entry_row
from bot.store.schema import table_of
from bot.store.tables import LedgerEntryRow
from bot.store.transaction import Transaction

_entries = table_of(LedgerEntryRow)


def _usage() -> sa.Select[Any]:
    """Sums per job first, so that a job that was released is seen to count as nothing."""
    in_window = (
        _entries.c.community_id == sa.bindparam("community"),
        _entries.c.counted_at > sa.bindparam("since"),
    )
    per_job = (
        sa.select(
            sa.func.sum(_entries.c.gpu_ms).label("gpu_ms"),
            sa.func.sum(_entries.c.jobs).label("jobs"),
            sa.func.min(_entries.c.counted_at).label("counted_at"),
        )
        .where(_entries.c.account_id == sa.bindparam("account"), *in_window)
        .group_by(_entries.c.job_id)
        .subquery()
    )
    counts = sa.or_(per_job.c.gpu_ms != 0, per_job.c.jobs != 0)
    community = sa.select(sa.func.sum(_entries.c.gpu_ms)).where(*in_window).scalar_subquery()
    return sa.select(
        sa.func.sum(per_job.c.gpu_ms).label("gpu_ms"),
        sa.func.sum(per_job.c.jobs).label("jobs"),
        sa.func.min(sa.case((counts, per_job.c.counted_at))).label("oldest"),
        community.label("community"),
    )


_USAGE = _usage()


class SqlLedger:
    """The port `Ledger`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def post(self, entry: LedgerEntry) -> bool:
        """Append, or return False where this event was posted already."""
        return await self._tx.add_new(_entries, entry_row(entry))

    async def usage(self, account_id: str, community_id: str, *, since: datetime) -> Usage:
        """Sums over the postings counted after `since`. A job that was released counts as nothing,
        so it does not set the time at which the window frees either."""
        row = await self._tx.one(_USAGE, account=account_id, community=community_id, since=since)
        if row is None:
            return Usage(0, 0, 0, None)
        return Usage(
            gpu_ms=int(row.gpu_ms or 0),
            jobs=int(row.jobs or 0),
            community_gpu_ms=int(row.community or 0),
            oldest_counted_at=row.oldest,
        )

    async def of_job(self, job_id: str) -> list[LedgerEntry]:
        """A job's postings: the reservation, and how it ended."""
        rows = await self._tx.all(sa.select(_entries).where(_entries.c.job_id == job_id))
        return sorted((entry_from(row) for row in rows), key=lambda entry: entry.jobs, reverse=True)
