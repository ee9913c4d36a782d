"""The store in memory: the same ports, the same transactions, nothing kept after the process.

Ships for trying things out (`DATABASE_URL=memory:`) and carries the fast tests. A transaction works
on its own version of the tables and swaps it in on commit, so leaving without commit rolls back
and readers keep the version they began with. One writer at a time.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from bot.core.house_ports import AuditLog, CaseStore, CommunityStore, MeasureStore
from bot.core.ports import (
    AccountStore,
    ArtifactRows,
    DeliveryStore,
    JobStore,
    Ledger,
    SettingStore,
)
from bot.store.memory_house import (
    MemoryAuditLog,
    MemoryCases,
    MemoryCommunities,
    MemoryMeasures,
)
from bot.store.memory_jobs import MemoryJobs
from bot.store.memory_people import MemoryAccounts, MemorySettings
from bot.store.memory_results import MemoryArtifacts, MemoryDeliveries, MemoryLedger
from bot.store.memory_tables import Tables, Version


class MemoryStore:
    """An empty studio in memory."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.writer = asyncio.Lock()
        self.writing_task: asyncio.Task[Any] | None = None

    def unit_of_work(self, *, write: bool = True) -> MemoryUnitOfWork:
        """Begin a transaction (`UnitOfWorkFactory`)."""
        return MemoryUnitOfWork(self, write)

    async def migrate(self) -> None:
        """There is nothing to bring up to date."""

    async def is_current(self) -> bool:
        """Always: there is nothing to migrate."""
        return True

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        """Forget everything."""
        self.tables = Tables()


class MemoryUnitOfWork:
    """One transaction in memory."""

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

    def __init__(self, store: MemoryStore, write: bool) -> None:
        self._store = store
        self._write = write
        self._holds_lock = False

    async def __aenter__(self) -> MemoryUnitOfWork:
        task = asyncio.current_task()
        if self._write:
            if self._store.writing_task is task and task is not None:
                raise RuntimeError("a write transaction was begun inside another one")
            await self._store.writer.acquire()
            self._holds_lock = True
            self._store.writing_task = task
        self._version = version = Version(self._store.tables, self._write)
        self.accounts = MemoryAccounts(version)
        self.jobs = MemoryJobs(version)
        self.artifacts = MemoryArtifacts(version)
        self.deliveries = MemoryDeliveries(version)
        self.ledger = MemoryLedger(version)
        self.settings = MemorySettings(version)
        self.communities = MemoryCommunities(version)
        self.measures = MemoryMeasures(version)
        self.cases = MemoryCases(version)
        self.audit = MemoryAuditLog(version)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._version.writable = False
        self._release()

    async def advance_virtual_time(self, to: float) -> None:
        """Move the fair order's virtual time forward (never back)."""
        self._version.check_writable()
        self._version.tables.virtual_time = max(self._version.tables.virtual_time, to)

    async def commit(self) -> None:
        """Swap this version in."""
        if self._version.writable:
            self._store.tables = self._version.tables
            self._version.writable = False
        self._release()

    def _release(self) -> None:
        if self._holds_lock:
            self._holds_lock = False
            self._store.writing_task = None
            self._store.writer.release()
