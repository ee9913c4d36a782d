"""How databases are opened: durability and safety switches, URLs, errors that name the setting."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from people_and_jobs import NOON, a_job, added, joined, origin

from bot.core.ports import Conflict
from bot.errors import SettingsError
from bot.store.database import SqlStore, open_store
from bot.store.memory import MemoryStore


async def test_sqlite_is_opened_safely(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    assert isinstance(store, SqlStore)
    async with store.engine.connect() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value
    await store.close()


async def test_sqlite_keeps_what_was_committed_when_the_process_dies(sqlite_url: str) -> None:
    """The file alone, without its write-ahead log's owner, holds every committed job."""
    store = open_store(sqlite_url)
    member = await joined(store.unit_of_work)
    await added(store.unit_of_work, a_job(member))
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    assert other.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    other.close()
    await store.close()


async def test_another_process_that_holds_sqlite_too_long_is_a_conflict(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.database.BUSY_TIMEOUT_S", 0.01)
    store = open_store(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(Conflict):
            await joined(store.unit_of_work)
    finally:
        other.close()
    await joined(store.unit_of_work)
    await store.close()


async def test_a_deadlock_is_a_conflict_for_one_and_nothing_for_the_other(
    migrated_postgres_url: str,
) -> None:
    store = open_store(migrated_postgres_url)
    people = [origin(name) for name in ("anna", "ben")]
    for who in people:
        await joined(store.unit_of_work, who)
    met = asyncio.Barrier(2)

    async def hold_both(first: int, second: int) -> None:
        async with store.unit_of_work() as uow:
            await uow.accounts.resolve(people[first], now=NOON)
            await met.wait()
            await uow.accounts.resolve(people[second], now=NOON)

    ends = await asyncio.gather(hold_both(0, 1), hold_both(1, 0), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "NoneType"]
    await store.close()


async def test_a_broken_statement_is_not_a_conflict(sql_url: str) -> None:
    store = open_store(sql_url)
    member = await joined(store.unit_of_work)
    job = a_job(member)
    await added(store.unit_of_work, job)
    with pytest.raises(sa.exc.IntegrityError):
        async with store.unit_of_work() as uow:
            await uow.artifacts.add([_of_no_job(job.account_id, job.community_id)])
    await store.close()


def _of_no_job(account_id: str, community_id: str):  # type: ignore[no-untyped-def]
    from bot.core.domain import Artifact

    return Artifact("a", "absent", account_id, community_id, "k", "image/png", 1, "item", 0, {})


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/with spaces/心/studio.db")
    await store.migrate()
    await joined(store.unit_of_work)
    await store.close()
    assert (tmp_path / "with spaces" / "心" / "studio.db").exists()


async def test_the_memory_store_forgets() -> None:
    store = open_store("memory:")
    assert isinstance(store, MemoryStore)
    await store.migrate()
    await joined(store.unit_of_work)
    await store.close()
    async with store.unit_of_work(write=False) as uow:
        assert (await uow.accounts.find(origin())).account_id == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "mysql://user:secret@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory",
        "oracle+cx_oracle://user:secret@host",
    ],
)
def test_a_wrong_url_stops_the_start_and_says_what_is_allowed(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url)
    said = str(caught.value)
    assert "DATABASE_URL" in said
    assert "sqlite:///" in said
    assert "secret" not in said


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_every_spelling_of_postgresql_is_understood(scheme: str) -> None:
    store = open_store(f"{scheme}://me:secret@db.example/studio?sslmode=require")
    assert isinstance(store, SqlStore)
    url = store.engine.url
    assert (url.drivername, url.database) == ("postgresql+asyncpg", "studio")
    assert dict(url.query) == {"ssl": "require"}
    await store.close()
