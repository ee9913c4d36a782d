"""Who is served when: fairness, batches, limits, and how far ahead jobs are sent."""

from __future__ import annotations

from typing import Any

import pytest

from bot.core.domain import JobState, Limits


async def sent(studio: Any) -> list[str]:
    """Send all that may be sent now, and take it as a worker; the job ids in order."""
    while await studio.dispatcher.dispatch_once():
        pass
    return [lease.job.id for lease in await studio.lease()]


async def one_by_one(studio: Any, turns: int, finished: Any) -> list[str]:
    """A worker with one slot that finishes each job before it takes the next."""
    order = []
    for _ in range(turns):
        order += await sent(studio)
        await studio.dispatcher.completion.end(finished(order[-1]))
    return order


async def test_nothing_is_sent_before_a_worker_is_ready(studio: Any) -> None:
    job_id = await studio.ask()
    assert await sent(studio) == []

    studio.ready(slots=8)
    assert await sent(studio) == [job_id]
    assert (await studio.job(job_id)).state is JobState.SENT


async def test_no_more_is_sent_than_workers_want_to_hold(studio: Any) -> None:
    jobs = [await studio.ask() for _ in range(10)]
    studio.ready(slots=4)
    assert await sent(studio) == jobs[:4]
    assert await sent(studio) == []


async def test_a_worker_that_fell_silent_takes_no_more(studio: Any) -> None:
    studio.ready(slots=4)
    studio.clock.advance(60)
    await studio.ask()
    assert await sent(studio) == []


async def test_one_job_behind_forty_is_served_within_two_batches(
    studio: Any, finished: Any
) -> None:
    forty = [await studio.ask("ann") for _ in range(40)]
    studio.ready(slots=4)
    batch = await sent(studio)
    assert batch == forty[:4]

    bob = await studio.ask("bob")
    for job_id in batch:
        await studio.dispatcher.completion.end(finished(job_id))
    assert bob in await sent(studio)


async def test_members_take_turns(make_studio: Any, finished: Any) -> None:
    studio = make_studio()
    ann = [await studio.ask("ann") for _ in range(4)]
    bob = [await studio.ask("bob") for _ in range(4)]
    studio.ready(slots=1)
    order = await one_by_one(studio, 8, finished)
    assert order == [job for pair in zip(ann, bob, strict=True) for job in pair]


async def test_twice_the_weight_is_twice_the_turns(make_studio: Any, finished: Any) -> None:
    studio = make_studio(
        Limits(gpu_ms=None, active_jobs=100, waiting_jobs=100, roles={"vip": {"weight": 2.0}})
    )
    jobs = {await studio.ask("vip", roles=("vip",)): "vip" for _ in range(20)}
    jobs |= {await studio.ask("bob"): "bob" for _ in range(20)}
    studio.ready(slots=1)
    served = [jobs[job_id] for job_id in await one_by_one(studio, 18, finished)]
    assert served.count("vip") == 12
    for start in range(0, 18, 3):  # not only in the end: at every moment
        assert served[start : start + 3].count("vip") == 2


async def test_those_who_ask_for_one_at_a_time_starve_nobody(
    make_studio: Any, finished: Any
) -> None:
    """Bob and Cat always have one job; Ann's second job has its turn all the same."""
    studio = make_studio()
    ann = [await studio.ask("ann") for _ in range(3)]
    waiting = {await studio.ask("bob"): "bob", await studio.ask("cat"): "cat"}
    studio.ready(slots=1)
    served = []
    for _ in range(9):
        [job_id] = await sent(studio)
        if job_id in waiting:  # asks again before anybody else is served
            waiting[await studio.ask(waiting[job_id])] = waiting[job_id]
        await studio.dispatcher.completion.end(finished(job_id))
        served.append(job_id)
    assert set(ann) < set(served)


async def test_the_head_of_the_line_decides_what_its_batch_is_filled_with(studio: Any) -> None:
    """Jobs of the same kind overtake; the one in between is in the next batch."""
    first = await studio.ask("ann", steps=4)
    between = await studio.ask("bob", steps=9)
    mate = await studio.ask("cat", steps=4)
    studio.ready(slots=2)
    assert await sent(studio) == [first, mate]

    studio.ready(slots=3)
    assert await sent(studio) == [between]


async def test_a_batch_is_no_larger_than_its_generator_takes(make_studio: Any) -> None:
    """Sixteen items: four requests of four pictures; the fifth does not push the others' kind."""
    studio = make_studio()
    fours = [await studio.ask("ann", items=4) for _ in range(5)]
    other = await studio.ask("bob", steps=9)
    studio.ready(slots=100)
    assert await studio.dispatcher.dispatch_once() == 4
    leases = await studio.lease()
    assert [lease.job.id for lease in leases] == fours[:4]
    assert sorted(await sent(studio)) == sorted([fours[4], other])


async def test_large_requests_are_not_sent_further_ahead_than_small_ones(
    make_studio: Any,
) -> None:
    """A worker that had small ones lately wants thirty-two; sixteen items are a batch."""
    studio = make_studio()
    for _ in range(40):
        await studio.ask("ann", items=4)
    studio.ready(slots=32)
    assert len(await sent(studio)) == 3 * 16 / 4


@pytest.mark.parametrize("limit", [1, 3])
async def test_active_jobs_hold_a_member_back_and_nobody_else(
    make_studio: Any, finished: Any, limit: int
) -> None:
    studio = make_studio(Limits(gpu_ms=None, active_jobs=limit, waiting_jobs=200))
    ann = [await studio.ask("ann") for _ in range(100)]  # more than one look ahead
    bob = await studio.ask("bob")
    studio.ready(slots=16)
    assert sorted(await sent(studio)) == sorted([*ann[:limit], bob])

    await studio.dispatcher.completion.end(finished(ann[0]))
    assert await sent(studio) == [ann[limit]]


async def test_a_moderators_new_limit_holds_within_half_a_minute(make_studio: Any) -> None:
    studio = make_studio(Limits(gpu_ms=None, active_jobs=1))
    jobs = [await studio.ask() for _ in range(4)]
    studio.ready(slots=16)
    assert await sent(studio) == jobs[:1]

    await studio.set_limits(jobs[0], {"active_jobs": 3})
    studio.clock.advance(31)
    studio.ready(slots=16)
    assert await sent(studio) == jobs[1:3]


async def test_limits_that_cannot_be_read_stop_nobody(make_studio: Any) -> None:
    studio = make_studio()
    jobs = [await studio.ask() for _ in range(5)]
    await studio.set_limits(jobs[0], {"active_jobs": "plenty"})
    studio.ready(slots=16)
    assert await sent(studio) == jobs[: Limits().active_jobs]


async def test_a_loaded_model_goes_first_among_equals_only(make_studio: Any) -> None:
    studio = make_studio()
    paint = await studio.ask("ann", model="paint")
    ink = await studio.ask("bob", model="ink")
    later_ink = await studio.ask("ann", model="ink")
    studio.ready(slots=1, loaded_models=("ink",))
    assert await sent(studio) == [ink]

    studio.ready(slots=2, loaded_models=("ink",))
    assert await sent(studio) == [paint]  # although Ann's second job would fit what is loaded
    studio.ready(slots=3, loaded_models=("ink",))
    assert await sent(studio) == [later_ink]


async def test_newcomers_with_a_loaded_model_overtake_for_a_while_only(make_studio: Any) -> None:
    studio = make_studio()
    paint = await studio.ask("ann", model="paint")
    studio.clock.advance(11)
    await studio.ask("bob", model="ink")
    studio.ready(slots=1, loaded_models=("ink",))
    assert await sent(studio) == [paint]
