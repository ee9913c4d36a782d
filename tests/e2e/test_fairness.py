"""One member queues forty large requests, then another asks for one small thing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from studio import Guest, StudioProcess

from bot.core.domain import Job
from bot.store.database import open_store

BATCH_ITEMS, ITEMS = 16, 4  # what the generator takes at once, and what each request asks for


@pytest.mark.timeout(90)
async def test_one_job_behind_forty_is_served_within_two_batches(tmp_path: Path) -> None:
    settings = {"QUOTA_GPU_SECONDS": 0, "ACTIVE_JOBS": 1000, "WAITING_JOBS": 1000}
    async with (
        StudioProcess(tmp_path, **settings) as studio,
        Guest(studio) as ann,
        Guest(studio) as bob,
    ):
        forty = [await ann.say(f'/write "sleep:0.05" count:{ITEMS}') for _ in range(40)]
        one = await bob.ask('/write "sleep:0.05" count:1')
        async with asyncio.timeout(60):
            while {(await ann.turn(said["job"]))["state"] for said in forty} != {"done"}:
                await asyncio.sleep(0.1)

    store = open_store(f"sqlite:///{tmp_path / 'data' / 'atelier.sqlite3'}")
    async with store.unit_of_work(write=False) as uow:
        [late] = await uow.jobs.get_many([one["key"]])
        jobs = await uow.jobs.get_many([said["job"] for said in forty])
    await store.close()
    ahead = [job for job in jobs if _started(late, job)]
    in_its_own_batch = BATCH_ITEMS // ITEMS
    assert len(ahead) <= 2 * BATCH_ITEMS // ITEMS + in_its_own_batch
    assert len(ahead) < len(jobs) / 2


def _started(late: Job, other: Job) -> bool:
    """Whether the other began after the late one was asked for, and not after it."""
    assert late.started_at is not None
    assert other.started_at is not None
    return late.created_at < other.started_at <= late.started_at
