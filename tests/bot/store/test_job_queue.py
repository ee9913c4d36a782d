"""The waiting line on every store, and that SQL answers from the index made for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from people_and_jobs import NOON, a_delivery, a_job, added, ended, joined, origin

from bot.core.domain import Job, JobState, Member
from bot.store.database import SqlStore, Store, open_store
from bot.store.job_queue import _STANDING, _WAITING_BEFORE, fair_head_query
from bot.store.jobs import to_erase_query
from bot.store.memory import MemoryStore


def _order(job: Job) -> tuple[object, ...]:
    return (job.start_tag, job.created_at, job.id)


async def test_the_line_is_by_tag_then_time_then_id(store: Store) -> None:
    member = await joined(store.unit_of_work)
    same_moment = NOON + timedelta(days=2)
    jobs = [
        a_job(member, start_tag=2.0, created_at=NOON),
        a_job(member, start_tag=0.5),
        a_job(member, start_tag=1 / 3),
        a_job(member, start_tag=1.0, created_at=same_moment),
        a_job(member, start_tag=1.0, created_at=same_moment),
        a_job(member, start_tag=1.0, created_at=same_moment + timedelta(microseconds=1)),
    ]
    sent = a_job(member, start_tag=0.0, state=JobState.SENT)
    await added(store.unit_of_work, *jobs, sent, ended(member))
    in_line = sorted(jobs, key=_order)  # type: ignore[arg-type]
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.fair_head(10) == in_line
        assert await uow.jobs.fair_head(2) == in_line[:2]
        assert await uow.jobs.queued_count() == len(jobs)
        places = [await uow.jobs.waiting_before(job) for job in in_line]
        assert places == list(range(len(jobs)))


async def test_skipped_members_are_passed_over(store: Store) -> None:
    here = await joined(store.unit_of_work, origin("anna", "here"))
    there = await joined(store.unit_of_work, origin("anna", "there"))
    ben = await joined(store.unit_of_work, origin("ben", "here"))
    jobs = {member: a_job(member) for member in (here, there, ben)}
    await added(store.unit_of_work, *jobs.values())
    async with store.unit_of_work(write=False) as uow:

        async def without(*skipped: Member) -> list[Job]:
            keys = [(member.account_id, member.community_id) for member in skipped]
            return await uow.jobs.fair_head(10, skip=keys)

        assert await without(here) == [jobs[there], jobs[ben]]
        assert await without(there, ben) == [jobs[here]]
        assert await without(here, there, ben) == []


async def test_the_last_finish_tag_outlives_the_job_unless_it_was_cancelled(store: Store) -> None:
    member = await joined(store.unit_of_work)
    await added(
        store.unit_of_work,
        a_job(member, finish_tag=3.0),
        ended(member, finish_tag=5.0),
        ended(member, finish_tag=9.0, state=JobState.CANCELLED),
    )
    async with store.unit_of_work(write=False) as uow:
        standing = await uow.jobs.standing(member.account_id, member.community_id)
        assert standing.last_finish_tag == 5.0
        assert (await uow.jobs.standing(member.account_id, "elsewhere")).last_finish_tag == 0.0


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3)), max_size=8))
async def test_place_in_line_agrees_with_the_line(rows: list[tuple[float, int]]) -> None:
    store = MemoryStore()
    member = await joined(store.unit_of_work)
    jobs = [
        a_job(member, start_tag=tag, created_at=NOON + timedelta(minutes=late))
        for tag, late in rows
    ]
    await added(store.unit_of_work, *jobs)
    async with store.unit_of_work(write=False) as uow:
        line = await uow.jobs.fair_head(100)
        assert [await uow.jobs.waiting_before(job) for job in line] == list(range(len(jobs)))


@pytest.fixture
async def long_line(sql_url: str) -> AsyncIterator[SqlStore]:
    """Enough rows of enough members for a planner to care, with the statistics it plans by."""
    store = open_store(sql_url)
    assert isinstance(store, SqlStore)
    members = [await joined(store.unit_of_work, origin(f"member {n}")) for n in range(30)]
    async with store.unit_of_work() as uow:
        for n in range(1500):
            state = JobState.QUEUED if n % 5 else JobState.DONE
            job = a_job(members[n % 30], start_tag=float(n), state=state)
            await uow.jobs.add(job, a_delivery(job))
        await uow.commit()
    async with store.engine.connect() as connection:
        await connection.execute(sa.text("ANALYZE"))
        await connection.commit()
    yield store
    await store.close()


async def test_the_fair_pick_walks_its_index(long_line: SqlStore) -> None:
    plain = await _plan(long_line, fair_head_query(20))
    skipping = await _plan(long_line, fair_head_query(20, [("a", "b"), ("c", "d")]))
    for plan in (plain, skipping):
        assert "ix_jobs_fair_order" in plan
        assert "sort" not in plan.lower()
        assert "temp b-tree for order" not in plan.lower()


async def test_admission_asks_the_indexes_only(long_line: SqlStore) -> None:
    plan = await _plan(long_line, _STANDING.params(account="a", community="b"))
    assert "ix_jobs_live" in plan
    assert "ix_jobs_finish_tag" in plan
    for scan in ("SCAN jobs", "Seq Scan on jobs"):
        assert scan not in plan


async def test_a_place_in_line_is_counted_in_the_index(long_line: SqlStore) -> None:
    plan = await _plan(long_line, _WAITING_BEFORE.params(start_tag=40.0, created_at=NOON, id="f"))
    assert "ix_jobs_fair_order" in plan


async def test_what_is_old_enough_is_found_in_an_index(long_line: SqlStore) -> None:
    of_one = await _plan(long_line, to_erase_query(NOON, ["a"]))
    of_all = await _plan(long_line, to_erase_query(NOON, None, ["a", "b"]))
    if long_line.engine.dialect.name == "sqlite":  # with so few rows PostgreSQL rather reads all
        assert "ix_jobs_retention" in of_one
        assert "ix_jobs_age" in of_all


async def _plan(store: SqlStore, query: sa.Select[tuple[object, ...]]) -> str:
    dialect = store.engine.dialect
    explain = "EXPLAIN" if dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    text = query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}).string
    async with store.engine.connect() as connection:
        rows = await connection.exec_driver_sql(f"{explain} {text}")
        return "\n".join(str(row) for row in rows)
