"""Revisions on both databases: up, checked against the tables, down and up again, and two processes
that start at once."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.util import CommandError

import migrations
from bot.store.database import SqlStore, open_store
from bot.store.migrate import check, downgrade_to, migrate_postgres, migrate_sqlite

ROOT = Path(__file__).parent.parent.parent
VERSIONS = sorted((Path(migrations.__path__[0]) / "versions").glob("[0-9]*.py"))


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a single table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studio.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


async def _step(url: str, step) -> None:  # type: ignore[no-untyped-def]
    if url.startswith("sqlite"):
        await migrate_sqlite(Path(url.removeprefix("sqlite:///")), step)
        return
    store = open_store(url)
    assert isinstance(store, SqlStore)
    try:
        await migrate_postgres(store.engine, step)
    finally:
        await store.close()


async def _tables(url: str) -> set[str]:
    store = open_store(url)
    assert isinstance(store, SqlStore)
    async with store.engine.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    await store.close()
    return set(names) - {"alembic_version"}


async def test_the_newest_revision_makes_exactly_the_tables_in_the_code(empty_url: str) -> None:
    store = open_store(empty_url)
    await store.migrate()
    await store.migrate()  # a second start changes nothing
    await store.close()
    await _step(empty_url, check)


async def test_a_difference_between_code_and_revisions_is_found(empty_url: str) -> None:
    store = open_store(empty_url)
    assert isinstance(store, SqlStore)
    await store.migrate()
    async with store.engine.begin() as connection:
        await connection.exec_driver_sql("DROP INDEX ix_jobs_history")
    await store.close()
    with pytest.raises(CommandError, match="ix_jobs_history"):
        await _step(empty_url, check)


async def test_every_revision_goes_down_and_up_again(empty_url: str) -> None:
    store = open_store(empty_url)
    await store.migrate()
    await store.close()
    newest = await _tables(empty_url)
    for revision in reversed(VERSIONS):
        before = f"{int(revision.name[:4]) - 1:04}" if revision is not VERSIONS[0] else "base"
        await _step(empty_url, downgrade_to(before))
    assert await _tables(empty_url) == set()
    store = open_store(empty_url)
    await store.migrate()
    await store.close()
    assert await _tables(empty_url) == newest
    await _step(empty_url, check)


async def test_two_processes_that_start_at_once_both_succeed(empty_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from bot.store.database import open_store\n"
        "async def main():\n"
        "    store = open_store(sys.argv[1])\n"
        "    sys.stdin.read()\n"  # both are told to go at the same moment
        "    await store.migrate()\n"
        "    await store.ping()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", program, empty_url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    processes = [start() for _ in range(2)]
    ends = await asyncio.gather(
        *(asyncio.to_thread(process.communicate, b"go") for process in processes)
    )
    assert [process.returncode for process in processes] == [0, 0], ends
    await _step(empty_url, check)


async def test_a_revision_that_fails_leaves_everything_as_it_was(empty_url: str) -> None:
    def breaks(config) -> None:  # type: ignore[no-untyped-def]
        connection = config.attributes["connection"]
        connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
        raise ArithmeticError("half-way")

    store = open_store(empty_url)
    await store.migrate()
    with pytest.raises(ArithmeticError):
        await _step(empty_url, breaks)
    assert "half" not in await _tables(empty_url)
    await store.migrate()
    await store.close()


async def test_a_revision_may_not_leave_broken_references(tmp_path: Path) -> None:
    file = tmp_path / "studio.db"
    await migrate_sqlite(file)

    def orphan(config) -> None:  # type: ignore[no-untyped-def]
        config.attributes["connection"].exec_driver_sql(
            "INSERT INTO identities VALUES ('web', 'x', 'no such account', '', '2026-01-01')"
        )

    with pytest.raises(RuntimeError, match="broken references"):
        await migrate_sqlite(file, orphan)
    await migrate_sqlite(file, check)


@pytest.mark.parametrize("file", VERSIONS, ids=lambda file: file.stem)
def test_a_revision_is_in_order_and_can_be_undone(file: Path) -> None:
    text = file.read_text()
    number = int(file.name[:4])
    assert f'revision = "{number:04}"' in text
    expected = "None" if number == 1 else f'"{number - 1:04}"'
    assert f"down_revision = {expected}" in text
    downgrade = text.split("def downgrade()")[1]
    assert re.search(r"op\.|_\w+\(", downgrade), "downgrade does nothing"
    assert "bot.store" not in text, "a revision must not follow the tables as they change"
