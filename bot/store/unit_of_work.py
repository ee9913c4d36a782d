"""One transaction over SQL: begin, the repositories inside it, commit or roll back.

Services get a factory of these (`UnitOfWorkFactory` of the ports); only `bot.store.database` makes
one. On SQLite writers queue up in this process (`WriterQueue`) instead of spinning on the file's
lock; readers see the last committed state and wait for nobody.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from bot.core.house_ports import AuditLog, CaseStore, CommunityStore, MeasureStore
from bot.core.ports import (
    AccountStore,
    ArtifactRows,
    Conflict,
    DeliveryStore,
    JobStore,
    Ledger,
    SettingStore,
)
from bot.store.accounts import SqlAccounts
from bot.store.artifacts import SqlArtifacts
from bot.store.cases import SqlCases
from bot.store.communities import SqlCommunities
from bot.store.deliveries import SqlDeliveries
from bot.store.jobs import SqlJobs
from bot.store.ledger import SqlLedger
from bot.store.measures import SqlAuditLog, SqlMeasures
from bot.store.schema import table_of
from bot.store.settings import SqlSettings
from bot.store.tables import SchedulerClockRow
from bot.store.transaction import Transaction

LOST_RACE_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL: serialization failure, deadlock, lock not available."""

SQLITE_BUSY = 5  # the low byte of sqlite3.SQLITE_BUSY and its extended codes

_clock = table_of(SchedulerClockRow)

_ADVANCE = sa.update(_clock).where(_clock.c.virtual_time < sa.bindparam("to"))


class WriterQueue:
    """Lets one writer of this process in at a time, first come, first served."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    async def enter(self) -> None:
        """Wait for one's turn. A task that holds it already would wait for itself: an error."""
        task = asyncio.current_task()
        if task is not None and self._holder is task:
            raise RuntimeError("a write transaction was begun inside another one")
        await self._lock.acquire()
        self._holder = task

    def leave(self) -> None:
        """Let the next one in."""
        self._holder = None
        self._lock.release()


class SqlUnitOfWork:
    """A transaction and its repositories; use as `async with factory() as uow`."""

    accounts: AccountStore
    jobs: JobStore
    artifacts: ArtifactRows
    deliveries: DeliveryStore
    ledger: Ledger
    settings: SettingStore
    communities: CommunityStore
    measures: MeasureStore
    cases: CaseStore
    audit: AuditLog

    def __init__(self, engine: AsyncEngine, *, write: bool, writers: WriterQueue | None) -> None:
        self._engine = engine
        self._write = write
        self._writers = writers if write else None
        self._in_queue = False
        self._session: AsyncSession | None = None

    async def __aenter__(self) -> SqlUnitOfWork:
        if self._writers is not None:
            await self._writers.enter()
            self._in_queue = True
        self._session = AsyncSession(self._engine, expire_on_commit=False, autoflush=False)
        self._tx = Transaction(self._session, self._write, self._engine.dialect.name)
        self.accounts = SqlAccounts(self._tx)
        self.jobs = SqlJobs(self._tx)
        self.artifacts = SqlArtifacts(self._tx)
        self.deliveries = SqlDeliveries(self._tx)
        self.ledger = SqlLedger(self._tx)
        self.settings = SqlSettings(self._tx)
        self.communities = SqlCommunities(self._tx)
        self.measures = SqlMeasures(self._tx)
        self.cases = SqlCases(self._tx)
        self.audit = SqlAuditLog(self._tx)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Shielded: a cancelled task must not leave a transaction open behind it.
            await asyncio.shield(asyncio.ensure_future(self._close()))
        finally:
            self._leave_queue()
        if isinstance(error, sa.exc.DBAPIError) and lost_race(error):
            raise Conflict(str(error.orig)) from error

    async def advance_virtual_time(self, to: float) -> None:
        """Move the fair order's virtual time forward (never back)."""
        await self._tx.change(_ADVANCE, to=to, virtual_time=to)

    async def commit(self) -> None:
        """Make it durable. Nothing may be changed afterwards."""
        assert self._session is not None  # noqa: S101 - the type checker's, not the caller's
        await self._session.commit()
        self._tx.writable = False
        self._leave_queue()

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()  # rolls back what was not committed

    def _leave_queue(self) -> None:
        if self._writers is not None and self._in_queue:
            self._in_queue = False
            self._writers.leave()


def lost_race(error: sa.exc.DBAPIError) -> bool:
    """Whether the database refused for the sake of another transaction, not for ours."""
    original = error.orig
    if getattr(original, "sqlstate", None) in LOST_RACE_SQLSTATES:
        return True
    return bool((getattr(original, "sqlite_errorcode", 0) or 0) & 0xFF == SQLITE_BUSY)
