"""What the repositories of one unit of work share: the session, and the guard against writing in a
reader. Statements go by table columns, never by entities, so nothing is cached or loaded lazily.

What is asked at every admission and completion is built once, with named parameters: building a
statement costs more than running it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession


class Transaction:
    """A session that knows whether it may write."""

    def __init__(self, session: AsyncSession, writable: bool, dialect: str) -> None:
        self._session = session
        self.writable = writable
        self.dialect = dialect

    async def all(self, statement: sa.Select[Any], **parameters: Any) -> Sequence[sa.Row[Any]]:
        """All rows of a query."""
        result: sa.Result[Any] = await self._session.execute(statement, parameters)
        return result.all()

    async def one(self, statement: sa.Select[Any], **parameters: Any) -> sa.Row[Any] | None:
        """The first row of a query, if there is one."""
        result: sa.Result[Any] = await self._session.execute(statement, parameters)
        return result.first()

    async def change(self, statement: sa.Update | sa.Insert | sa.Delete, **parameters: Any) -> int:
        """Run a changing statement; returns how many rows it touched. Parameters that are columns
        of an update are what it sets."""
        self.check_writable()
        result = await self._session.execute(statement, parameters)
        return int(result.rowcount)  # type: ignore[attr-defined]

    async def add(self, table: sa.Table, *rows: Mapping[str, Any]) -> None:
        """Insert rows; one that exists already is an error."""
        self.check_writable()
        await self._session.execute(sa.insert(table), list(rows))

    async def add_new(self, table: sa.Table, row: Mapping[str, Any]) -> bool:
        """Insert a row, or return False where a unique key of it is taken."""
        return await self.change(_insert_new(table, self.dialect), **row) == 1

    def check_writable(self) -> None:
        """A change in a reader is a mistake in our code, and is told at once."""
        if not self.writable:
            raise RuntimeError("this unit of work may not change anything (any more)")


@lru_cache(maxsize=64)
def _insert_new(table: sa.Table, dialect: str) -> sa.Insert:
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
