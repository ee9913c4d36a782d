"""aiosqlite with one trip to its thread per statement instead of four.

SQLAlchemy asks a driver for a cursor, runs the statement, fetches the rows and closes the cursor;
aiosqlite makes each of these a round trip between two threads. On a machine whose cores are busy
generating, the trips are most of what a short transaction costs. Here a statement is run and its
rows are read in one trip; the other three answer from memory. Only `bot.store.database` uses this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import aiosqlite


class OneTripCursor:
    """As much of a cursor as SQLAlchemy's aiosqlite dialect uses. All rows are read at once, as the
    dialect would do."""

    arraysize = 1

    def __init__(self, connection: OneTripConnection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] = ()
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> OneTripCursor:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> OneTripCursor:
        """Run one statement and keep its rows."""
        await self._connection.in_thread(self._run, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> OneTripCursor:
        """Run one statement for each set of parameters."""
        await self._connection.in_thread(self._run_many, sql, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """The rows of the last statement, once."""
        rows, self._rows = self._rows, ()
        return rows

    async def close(self) -> None:
        """The real cursor was closed when its rows had been read."""
        self._rows = ()

    def _run(self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> None:
        self._read(connection.execute(sql, parameters))

    def _run_many(
        self, connection: sqlite3.Connection, sql: str, parameters: Sequence[Sequence[Any]]
    ) -> None:
        self._read(connection.executemany(sql, parameters))

    def _read(self, cursor: sqlite3.Cursor) -> None:
        self.description, self.lastrowid = cursor.description, cursor.lastrowid
        self._rows = cursor.fetchall() if cursor.description else ()
        self.rowcount = cursor.rowcount  # a statement with RETURNING knows it only now
        cursor.close()


class OneTripConnection(aiosqlite.Connection):
    """A connection whose cursors take one trip, which begins a transaction on the way to its first
    statement, and which ends only what was begun."""

    _to_begin: str | None = None

    def begin(self, statement: str) -> None:
        """Begin a transaction with this statement as soon as there is something to do in it."""
        self._to_begin = statement

    async def in_thread(self, work: Any, *arguments: Any) -> Any:
        """Run a function on the SQLite connection, in the connection's thread."""
        begin, self._to_begin = self._to_begin, None
        return await self._execute(self._begun, begin, work, *arguments)  # type: ignore[no-untyped-call]

    def _begun(self, begin: str | None, work: Any, *arguments: Any) -> Any:
        connection = self._conn
        if begin is not None:
            connection.execute(begin)
        return work(connection, *arguments)

    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """A cursor that needs no opening."""
        return OneTripCursor(self)

    async def commit(self) -> None:
        """Commit, if there is anything to commit."""
        self._to_begin = None
        if self._conn.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        """Roll back, if there is anything to roll back."""
        self._to_begin = None
        if self._conn.in_transaction:
            await super().rollback()


def connect(path: Path, *, timeout_s: float) -> OneTripConnection:
    """A connection to be awaited (SQLAlchemy's `async_creator_fn`); it begins no transactions of
    its own, which is SQLAlchemy's to do."""

    def connector() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=timeout_s, isolation_level=None)

    connection = OneTripConnection(connector, iter_chunk_size=64)
    # A program that dies without closing must not wait for this thread.
    connection._thread.daemon = True
    return connection
