"""Brings a database to the newest revision at start, under a lock that dies with its process.

Two gateways that start at once both succeed: the second waits, then finds nothing left to do.
PostgreSQL: an advisory lock of the migrating transaction. SQLite: an exclusive lock on a small file
beside the database, since the journal mode and foreign keys can only be switched outside of
transactions. Either way a revision that fails leaves the database as it was.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncEngine

import migrations

ADVISORY_LOCK = 0x61746C72  # "atlr"
LOCK_TIMEOUT_S = 120.0

Step = Callable[[Config], Any]

_one_at_a_time = threading.Lock()
"""Alembic keeps its context in module globals."""


def upgrade(config: Config) -> None:
    """To the newest revision."""
    command.upgrade(config, "head")


def check(config: Config) -> None:
    """Raise where the tables in code and the newest revision disagree."""
    command.check(config)


def at_head(connection: sa.Connection) -> bool:
    """Whether the database is at the newest revision; asks only."""
    script = ScriptDirectory.from_config(config_for(connection))
    context = MigrationContext.configure(connection)
    return set(context.get_current_heads()) == set(script.get_heads())


def downgrade_to(revision: str) -> Step:
    """A step back to a revision (`base` is the empty database)."""
    return lambda config: command.downgrade(config, revision)


async def migrate_postgres(engine: AsyncEngine, step: Step = upgrade) -> None:
    """Run a migration step on PostgreSQL."""
    async with engine.begin() as connection:
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        await connection.run_sync(_run, step)


async def migrate_sqlite(file: Path, step: Step = upgrade) -> None:
    """Run a migration step on a SQLite file."""
    await asyncio.to_thread(_migrate_file, file, step)


def config_for(connection: sa.Connection) -> Config:
    """Alembic's configuration, built in code; `migrations/env.py` takes the connection from it."""
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0].replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def _run(connection: sa.Connection, step: Step) -> None:
    with _one_at_a_time:
        step(config_for(connection))


def _migrate_file(file: Path, step: Step) -> None:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"isolation_level": None, "timeout": LOCK_TIMEOUT_S},
        poolclass=sa.NullPool,
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")  # kept in the file from then on
        connection.execute("PRAGMA synchronous = FULL")
        # Rebuilding a table (batch mode) drops the old one, which must not cascade.
        connection.execute("PRAGMA foreign_keys = OFF")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with _only_process(file), engine.begin() as connection:
        _run(connection, step)
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"the migration would leave broken references: {broken[:3]}")


@contextmanager
def _only_process(file: Path) -> Iterator[None]:
    """Hold the lock file beside the database; the system frees it if the process dies."""
    lock = sqlite3.connect(
        file.with_name(file.name + ".migrating"), timeout=LOCK_TIMEOUT_S, isolation_level=None
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()
