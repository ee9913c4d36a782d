"""What a unit of work promises, on every store: all or nothing, readers that wait for nobody,
one writer at a time, and no writing where only reading was asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from people_and_jobs import NOON, a_delivery, a_job, added, joined, origin

from bot.core.ports import Conflict
from bot.services.transactions import ATTEMPTS, repeated
from bot.store.database import Store


async def test_what_was_not_committed_never_happened(store: Store) -> None:
    async with store.unit_of_work() as uow:
        await uow.accounts.resolve(origin(), now=NOON)
        await uow.settings.put("", "limits", {"gpu_ms": 1}, by="somebody")
        await uow.advance_virtual_time(5.0)
    async with store.unit_of_work(write=False) as uow:
        assert (await uow.accounts.find(origin())).account_id == ""
        assert await uow.settings.get("", "limits") is None
        assert (await uow.jobs.standing("", "")).virtual_time == 0.0


async def test_an_error_rolls_back_and_the_next_writer_goes_on(store: Store) -> None:
    member = await joined(store.unit_of_work)

    async def write_and_fail() -> None:
        async with store.unit_of_work() as uow:
            job = a_job(member)
            await uow.jobs.add(job, a_delivery(job))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    await added(store.unit_of_work, a_job(member))
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.queued_count() == 1


async def test_a_cancelled_writer_leaves_nothing_behind(store: Store) -> None:
    member = await joined(store.unit_of_work)
    inside = asyncio.Event()

    async def write_forever() -> None:
        async with store.unit_of_work() as uow:
            job = a_job(member)
            await uow.jobs.add(job, a_delivery(job))
            inside.set()
            await asyncio.Event().wait()

    writer = asyncio.create_task(write_forever())
    await inside.wait()
    writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writer
    await added(store.unit_of_work, a_job(member))
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.queued_count() == 1


async def test_a_reader_waits_for_no_writer_and_sees_what_was_committed(store: Store) -> None:
    member = await joined(store.unit_of_work)
    await added(store.unit_of_work, a_job(member))
    async with store.unit_of_work() as writer:
        job = a_job(member)
        await writer.jobs.add(job, a_delivery(job))
        async with store.unit_of_work(write=False) as reader:
            assert await reader.jobs.queued_count() == 1
        await writer.commit()
    async with store.unit_of_work(write=False) as reader:
        assert await reader.jobs.queued_count() == 2


async def test_a_reader_that_writes_is_told(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = a_job(member)
    async with store.unit_of_work(write=False) as uow:
        for change in (
            uow.jobs.add(job, a_delivery(job)),
            uow.accounts.resolve(origin(), now=NOON),
            uow.settings.put("", "x", 1, by="a"),
            uow.jobs.erase(job.id),
            uow.advance_virtual_time(1.0),
        ):
            with pytest.raises(RuntimeError, match="may not change"):
                await change


async def test_nothing_can_be_written_after_the_commit(store: Store) -> None:
    async with store.unit_of_work() as uow:
        await uow.commit()
        with pytest.raises(RuntimeError, match="may not change"):
            await uow.advance_virtual_time(1.0)


async def test_virtual_time_moves_forward_only(store: Store) -> None:
    async with store.unit_of_work() as uow:
        await uow.advance_virtual_time(3.0)
        await uow.advance_virtual_time(2.0)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        assert (await uow.jobs.standing("", "")).virtual_time == 3.0


@pytest.mark.parametrize("store_url", ["memory", "sqlite"], indirect=True)
async def test_a_writer_inside_a_writer_is_an_error_and_not_a_deadlock(store: Store) -> None:
    async with store.unit_of_work():
        with pytest.raises(RuntimeError, match="inside another"):
            async with store.unit_of_work():
                pass


async def test_twenty_writers_at_once_lose_no_update(store: Store) -> None:
    member = await joined(store.unit_of_work)

    async def write() -> None:
        await added(store.unit_of_work, a_job(member))

    await asyncio.gather(*(write() for _ in range(20)))
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.queued_count() == 20


async def test_times_keep_their_zone_and_their_microseconds(store: Store) -> None:
    member = await joined(store.unit_of_work)
    at = datetime(2026, 11, 22, 23, 59, 59, 123456, tzinfo=UTC)
    job = a_job(member, created_at=at)
    await added(store.unit_of_work, job)
    async with store.unit_of_work(write=False) as uow:
        found = await uow.jobs.get(job.id)
    assert found is not None
    assert found.created_at == at
    assert found.created_at.tzinfo is UTC


async def test_ping_answers(store: Store) -> None:
    await store.ping()


async def test_a_lost_race_is_repeated_and_a_real_error_is_not() -> None:
    tries = 0

    async def loses_twice() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise Conflict("somebody else was first")
        return tries

    assert await repeated(loses_twice) == 3

    async def always_loses() -> None:
        nonlocal tries
        tries += 1
        raise Conflict("again")

    tries = 0
    with pytest.raises(Conflict):
        await repeated(always_loses)
    assert tries == ATTEMPTS

    async def fails() -> None:
        nonlocal tries
        tries += 1
        raise ValueError("a mistake")

    tries = 0
    with pytest.raises(ValueError, match="a mistake"):
        await repeated(fails)
    assert tries == 1
