"""What one fair pick costs at 10, 1,000 and 100,000 queued jobs; it should cost the same.

Baseline: the pick at 10 jobs. Each pick takes the head of the queue for one batch while two members
are at their limit of active jobs and have to be skipped.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.core.chat import Origin
from bot.core.domain import Delivery, DeliveryState, Job, JobState
from bot.store.database import Store, open_store

if TYPE_CHECKING:
    from conftest import Report

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MEMBERS, PICKS, LOOK_AHEAD = 10, 200, 64


async def test_cost_of_one_fair_pick(tmp_path: Path, report: Report) -> None:
    baseline = None
    for queued in (10, 1_000, 100_000):
        async with _queue(tmp_path / f"{queued}.db", queued) as (store, members):
            cost = await _pick_ms(store, members[:2])
        report.add(f"fair pick at {queued:,} queued", cost, "ms", "at 10 queued", baseline)
        baseline = baseline or cost


async def _pick_ms(store: Store, skip: list[tuple[str, str]]) -> float:
    began = time.perf_counter()
    for _ in range(PICKS):
        async with store.unit_of_work(write=False) as uow:
            jobs = await uow.jobs.fair_head(LOOK_AHEAD, skip=skip)
            assert jobs
    return 1000 * (time.perf_counter() - began) / PICKS


@asynccontextmanager
async def _queue(file: Path, queued: int) -> AsyncIterator[tuple[Store, list[tuple[str, str]]]]:
    """A SQLite store with that many queued jobs of ten members, taking turns."""
    store = open_store(f"sqlite:///{file}")
    await store.migrate()
    members = []
    async with store.unit_of_work() as uow:
        for number in range(MEMBERS):
            origin = Origin("web", f"c{number}", True, f"m{number}", "Member")
            member = await uow.accounts.resolve(origin, now=NOW)
            members.append((member.account_id, member.community_id))
            job = _job(number, member.account_id, member.community_id)
            await uow.jobs.add(job, _delivery(job))
        await uow.commit()
    _multiply(file, queued // MEMBERS)
    try:
        yield store, members
    finally:
        await store.close()


def _multiply(file: Path, times: int) -> None:
    """Copy each job until the member has `times`, each one turn later than the last."""
    own = {"id", "origin_key", "start_tag", "finish_tag"}
    with sqlite3.connect(file) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        same = [name for name in columns if name not in own]
        names = ", ".join(f'"{name}"' for name in same)
        connection.execute(
            f"""WITH RECURSIVE turn(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM turn
                WHERE n < {times - 1})
            INSERT INTO jobs (id, origin_key, start_tag, finish_tag, {names})
            SELECT id || '-' || n, origin_key || '-' || n, start_tag + n, finish_tag + n, {names}
            FROM jobs, turn WHERE {times} > 1"""  # noqa: S608 - names from the schema itself
        )
    connection.close()


def _job(number: int, account_id: str, community_id: str) -> Job:
    return Job(
        id=f"{number:032x}",
        origin_key=f"bench:{number}",
        kind="generate",
        command="imagine",
        account_id=account_id,
        community_id=community_id,
        generator="diffusion",
        model="diffusion",
        params={"prompt": "red heart"},
        seed=number,
        count=4,
        compat="diffusion",
        inputs={},
        state=JobState.QUEUED,
        created_at=NOW,
        start_tag=0.0,
        finish_tag=1.0,
        reserved_gpu_ms=1000,
    )


def _delivery(job: Job) -> Delivery:
    return Delivery(job.id, job.account_id, "web", {}, False, DeliveryState.WAITING)
