"""Opens the database the way the studio needs it. `open_store(url)` is the one way in.

SQLite: write-ahead log, every commit flushed to the disk before it is acknowledged, foreign keys
on, writers begin IMMEDIATE (a reader that turns writer half-way could fail with "locked").
PostgreSQL: READ COMMITTED with the locks and unique keys the repositories ask for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.core.ports import UnitOfWork
from bot.errors import SettingsError
from bot.store import sqlite_driver
from bot.store.memory import MemoryStore
from bot.store.migrate import at_head, migrate_postgres, migrate_sqlite
from bot.store.unit_of_work import SqlUnitOfWork, WriterQueue

ALLOWED_URLS = "sqlite:///path/to/file.db, postgresql://user:password@host/name, or memory:"

BUSY_TIMEOUT_S = 10.0
"""How long SQLite waits for another process's write; writers of this process queue instead."""

_WRITES = "atelier_writes"


class Store(Protocol):
    """An open database."""

    def unit_of_work(self, *, write: bool = True) -> UnitOfWork:
        """Begin a transaction; the method itself is the port `UnitOfWorkFactory`."""

    async def migrate(self) -> None:
        """Bring it to the newest revision, under a lock; two processes may do so at once."""

    async def is_current(self) -> bool:
        """Whether it is at the newest revision; asks only."""

    async def ping(self) -> None:
        """Ask it something trivial; raises when it does not answer."""

    async def close(self) -> None:
        """Let go of all connections."""


class SqlStore:
    """A store over SQLite or PostgreSQL."""

    def __init__(self, engine: AsyncEngine, *, sqlite_file: Path | None) -> None:
        self.engine = engine
        self._sqlite_file = sqlite_file
        self._writer_engine = engine.execution_options(**{_WRITES: True})
        self._writers = WriterQueue() if sqlite_file is not None else None

    def unit_of_work(self, *, write: bool = True) -> SqlUnitOfWork:
        """Begin a transaction (`UnitOfWorkFactory`)."""
        engine = self._writer_engine if write else self.engine
        return SqlUnitOfWork(engine, write=write, writers=self._writers)

    async def migrate(self) -> None:
        """Bring the database to the newest revision."""
        if self._sqlite_file is not None:
            await migrate_sqlite(self._sqlite_file)
        else:
            await migrate_postgres(self.engine)

    async def is_current(self) -> bool:
        """Compare its revision with the newest."""
        async with self.engine.connect() as connection:
            return await connection.run_sync(at_head)

    async def ping(self) -> None:
        """Ask for one number."""
        async with self.engine.connect() as connection:
            await connection.execute(sa.select(1))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def open_store(database_url: str) -> Store:
    """Open a database by its URL; nothing is connected to yet. Raises SettingsError with what is
    allowed where the URL makes no sense or its driver is not installed."""
    if database_url in {"memory:", "memory://"}:
        return MemoryStore()
    try:
        url = sa.make_url(database_url)
    except sa.exc.ArgumentError:
        raise SettingsError(_wrong("is not a database URL")) from None
    backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(url)
    if backend == "postgresql":
        return _open_postgres(url)
    raise SettingsError(_wrong(f"names the database {backend!r}"))


def _open_sqlite(url: sa.URL) -> SqlStore:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError(_wrong("must name a file for SQLite"))
    path = Path(url.database).expanduser().absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=str(path)),
        connect_args={
            "async_creator_fn": lambda *_, **__: sqlite_driver.connect(
                path, timeout_s=BUSY_TIMEOUT_S
            )
        },
        pool_size=8,
        max_overflow=0,
        pool_use_lifo=True,
    )

    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite_driver.OneTripConnection)  # noqa: S101 - made above
        driver.begin("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")

    sa.event.listen(engine.sync_engine, "connect", prepare)
    sa.event.listen(engine.sync_engine, "begin", begin)
    return SqlStore(engine, sqlite_file=path)


def _open_postgres(url: sa.URL) -> SqlStore:
    query = dict(url.query)
    if "sslmode" in query:  # libpq's word for what asyncpg calls ssl
        query["ssl"] = query.pop("sslmode")
    try:
        engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg", query=query),
            isolation_level="READ COMMITTED",
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            "DATABASE_URL names PostgreSQL, but its driver is not installed:"
            " pip install 'atelier[postgres]'"
        ) from error
    return SqlStore(engine, sqlite_file=None)


def _wrong(what: str) -> str:
    """The URL itself is not repeated: it may hold a password."""
    return f"DATABASE_URL {what}; allowed are {ALLOWED_URLS}"
