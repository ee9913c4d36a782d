"""Deliveries and the ledger on every store."""

from __future__ import annotations

from datetime import datetime, timedelta

from people_and_jobs import NOON, a_delivery, a_job, joined, origin

from bot.core.domain import DeliveryState, Job, LedgerEntry, Member, PostingKind, Usage
from bot.store.database import Store

SECOND = timedelta(seconds=1)


async def test_due_deliveries_come_oldest_first(store: Store) -> None:
    member = await joined(store.unit_of_work)

    async def with_delivery(state: DeliveryState, at: datetime | None) -> str:
        job = a_job(member)
        async with store.unit_of_work() as uow:
            await uow.jobs.add(job, a_delivery(job, state=state, next_attempt_at=at))
            await uow.commit()
        return job.id

    late = await with_delivery(DeliveryState.PENDING, NOON)
    early = await with_delivery(DeliveryState.SENDING, NOON - SECOND)
    at_once = await with_delivery(DeliveryState.PENDING, None)
    await with_delivery(DeliveryState.PENDING, NOON + SECOND)
    for state in (DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.GONE):
        await with_delivery(state, NOON - SECOND)
    async with store.unit_of_work(write=False) as uow:
        due = await uow.deliveries.due(NOON, limit=9)
        assert [delivery.job_id for delivery in due] == [at_once, early, late]
        assert len(await uow.deliveries.due(NOON, limit=1)) == 1


async def test_a_delivery_moves_by_compare_and_set(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = a_job(member)
    async with store.unit_of_work() as uow:
        await uow.jobs.add(job, a_delivery(job))
        pending = DeliveryState.PENDING
        values = {"next_attempt_at": NOON, "attempts": 2, "unknown_outcomes": 1}
        assert not await uow.deliveries.move(job.id, pending, only_from=[DeliveryState.SENDING])
        assert await uow.deliveries.move(
            job.id, pending, only_from=[DeliveryState.WAITING], values=values
        )
        await uow.deliveries.set_address(job.id, {"message_id": "9"})
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        found = await uow.deliveries.get(job.id)
        assert await uow.deliveries.get("absent") is None
    assert found == a_delivery(job, state=pending, address={"message_id": "9"}, **values)


def _entry(job: Job, kind: PostingKind, gpu_ms: int, jobs: int) -> LedgerEntry:
    return LedgerEntry(
        event_id=f"{job.id}:{kind}",
        account_id=job.account_id,
        community_id=job.community_id,
        job_id=job.id,
        kind=kind,
        gpu_ms=gpu_ms,
        jobs=jobs,
        counted_at=job.created_at,
    )


async def _post(store: Store, *entries: LedgerEntry) -> list[bool]:
    async with store.unit_of_work() as uow:
        posted = [await uow.ledger.post(entry) for entry in entries]
        await uow.commit()
    return posted


async def _usage(store: Store, member: Member, since: datetime) -> Usage:
    async with store.unit_of_work(write=False) as uow:
        return await uow.ledger.usage(member.account_id, member.community_id, since=since)


async def test_an_event_is_posted_once(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = a_job(member)
    reserve = _entry(job, PostingKind.RESERVE, 6000, 1)
    settle = _entry(job, PostingKind.SETTLE, -1000, 0)
    assert await _post(store, reserve, reserve, settle) == [True, False, True]
    async with store.unit_of_work(write=False) as uow:
        assert await uow.ledger.of_job(job.id) == [reserve, settle]
        assert await uow.ledger.of_job("absent") == []


async def test_usage_sums_the_window_by_member_and_by_community(store: Store) -> None:
    anna = await joined(store.unit_of_work, origin("anna", "here"))
    elsewhere = await joined(store.unit_of_work, origin("anna", "there"))
    ben = await joined(store.unit_of_work, origin("ben", "here"))
    assert await _usage(store, anna, NOON) == Usage(0, 0, 0, None)
    old, first, second = (a_job(anna, created_at=NOON + hours * SECOND) for hours in (0, 1, 2))
    await _post(
        store,
        _entry(old, PostingKind.RESERVE, 50, 1),
        _entry(first, PostingKind.RESERVE, 700, 1),
        _entry(first, PostingKind.RELEASE, -700, -1),
        _entry(second, PostingKind.RESERVE, 1000, 1),
        _entry(second, PostingKind.SETTLE, -400, 0),
        _entry(a_job(elsewhere), PostingKind.RESERVE, 9, 1),
        _entry(a_job(ben), PostingKind.RESERVE, 80, 1),
    )
    # The window is open at its beginning, and a released job does not say when it frees.
    assert await _usage(store, anna, NOON) == Usage(600, 1, 680, second.created_at)
    assert await _usage(store, anna, NOON - SECOND) == Usage(650, 2, 730, old.created_at)
    assert await _usage(store, anna, second.created_at) == Usage(0, 0, 80, None)
