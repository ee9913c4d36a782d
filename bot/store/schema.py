"""How every table is declared: names of constraints, UTC times, portable JSON, and an owner.

Used by the table modules and by Alembic. Two rules are enforced by tests: every table says whose
data it holds, and every constraint has a name (SQLite cannot drop one without).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC datetime to the microsecond. SQLite has no zones: it keeps naive UTC, whose
    text sorts as time does. Naive values are refused, since nobody knows what they mean."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be stored: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""A JSON value. None is SQL NULL."""


class Base(DeclarativeBase):
    """Registry of all tables; `Base.metadata` is what Alembic compares with."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime, str: sa.Text, float: sa.Double}  # noqa: RUF012


def table_of(row: type[Base]) -> sa.Table:
    """The table behind a mapped class, typed as what it is."""
    return Base.metadata.tables[row.__tablename__]


def owned_by(*columns: str) -> dict[str, Any]:
    """Table arguments that name the columns holding the account whose data a row is. Export and
    deletion of a person's data go by this, so they cannot forget a table."""
    return {"info": {"owners": columns}}


def nobodys(why: str) -> dict[str, Any]:
    """Table arguments for a table without a person's data, and why there is none in it."""
    return {"info": {"owners": (), "why": why}}


def one_of(column: str, values: Iterable[StrEnum] | Iterable[str]) -> sa.CheckConstraint:
    """A CHECK that the column holds one of these words."""
    words = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({words})", name=column)


def at_least(column: str, minimum: int) -> sa.CheckConstraint:
    """A CHECK that the column's number is not below the minimum."""
    return sa.CheckConstraint(f"{column} >= {minimum}", name=column)
