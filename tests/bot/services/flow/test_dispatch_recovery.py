"""What crashes, lost messages, late messages and broken databases do to a job: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.core.domain import JobState
from bot.services.outbox import Pace
from generators.engine.memory import answer_all
from generators.engine.port import (
    MAX_STRIKES,
    Capacity,
    EngineResult,
    Heartbeat,
    Progress,
    Struck,
)


async def send(studio: Any, **facts: Any) -> tuple[str, Any]:
    """One job that was sent and is in a worker's hands: its id and the lease."""
    job_id = await studio.ask(**facts)
    studio.ready()
    assert await studio.dispatcher.dispatch_once() == 1
    [lease] = await studio.lease()
    return job_id, lease


async def until_it_dies(step: Callable[[], Awaitable[Any]]) -> None:
    while True:
        await step()


def cancelled(job_id: str) -> EngineResult:
    return EngineResult(job_id=job_id, state="cancelled")


# --- restarts ---


async def test_a_restarted_gateway_sends_what_is_unfinished_at_once(
    studio: Any, finished: Any
) -> None:
    running, lease = await send(studio)
    studio.begins(lease)
    await studio.dispatcher.news.record_once()
    waiting = await studio.ask()

    studio.engine.lose()
    studio.restart()
    await studio.dispatcher.reconciler.reconcile_once()
    assert studio.engine.held == {running}

    studio.ready()
    assert await studio.work_off() == 2
    for job_id in (running, waiting):
        assert (await studio.job(job_id)).state is JobState.DONE


async def test_a_restart_does_not_evict_what_a_living_worker_holds(
    studio: Any, finished: Any
) -> None:
    """The job is old, but this gateway has only just begun to listen."""
    job_id, lease = await send(studio)
    studio.clock.advance(3600)
    studio.restart()
    await studio.dispatcher.reconciler.reconcile_once()

    await lease.done(finished(job_id, gpu_ms=42))
    await studio.take_results()
    assert (await studio.job(job_id)).gpu_ms == 42


@pytest.mark.parametrize("point", range(6))
async def test_dying_while_sending_loses_and_doubles_nothing(studio: Any, point: int) -> None:
    jobs = [await studio.ask() for _ in range(3)]
    studio.ready()
    studio.faults.crash_after(point)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the test's own Crash
        await until_it_dies(studio.dispatcher.dispatch_once)
    studio.faults.calm()

    studio.restart()
    await studio.dispatcher.reconciler.reconcile_once()
    studio.ready()
    assert await studio.work_off() == 3
    assert [(await studio.job(job_id)).state for job_id in jobs] == [JobState.DONE] * 3


async def test_the_whole_loop_survives_being_dropped_half_way(studio: Any, finished: Any) -> None:
    """Real loops, a worker that answers at once, the gateway dropped after some answers."""
    jobs = [await studio.ask(member) for member in "abcdefgh" for _ in range(5)]
    for _ in range(3):
        worker = asyncio.create_task(answer_all(studio.engine, lambda job: finished(job.id)))
        loops = [
            asyncio.create_task(studio.dispatcher.run()),
            asyncio.create_task(studio.delivery.run()),
        ]
        more = min(len(studio.wall.arrived) + 15, len(jobs))
        async with asyncio.timeout(30):
            await studio.wall.until(lambda wall, more=more: len(wall.arrived) >= more)
        for task in (worker, *loops):
            task.cancel()
        await asyncio.gather(worker, *loops, return_exceptions=True)
        studio.engine.lose()
        studio.restart()
    assert {job_id: len(studio.wall.arrived[job_id]) for job_id in jobs} == dict.fromkeys(jobs, 1)
    assert [await studio.used(job_id) for job_id in jobs] == [100] * len(jobs)


# --- messages that come twice, early, late or never ---


async def test_the_first_result_wins(studio: Any, finished: Any) -> None:
    job_id, lease = await send(studio)
    await lease.done(finished(job_id, gpu_ms=50))
    await studio.take_results()
    assert not await studio.dispatcher.completion.end(finished(job_id, gpu_ms=900))
    assert not await studio.dispatcher.completion.end(cancelled(job_id))

    assert (await studio.job(job_id)).state is JobState.DONE
    assert await studio.used(job_id) == 50
    assert studio.metrics.stray_results.labels("duplicate")._value.get() == 2


async def test_a_result_of_a_job_nobody_knows_is_acknowledged(studio: Any, finished: Any) -> None:
    _, lease = await send(studio)
    await lease.done(finished("f" * 32))
    await studio.take_results()
    assert studio.engine.unacknowledged == set()
    assert studio.metrics.stray_results.labels("unknown")._value.get() == 1


async def test_a_result_that_outruns_started_and_the_mark_counts(
    studio: Any, finished: Any
) -> None:
    job_id = await studio.ask()
    assert await studio.dispatcher.completion.end(finished(job_id))
    studio.ready()
    assert await studio.dispatcher.dispatch_once() == 0
    assert (await studio.job(job_id)).state is JobState.DONE


async def test_started_does_not_bring_an_ended_job_back(studio: Any, finished: Any) -> None:
    job_id, lease = await send(studio)
    await lease.done(finished(job_id))
    await studio.take_results()
    studio.begins(lease)
    await studio.dispatcher.news.record_once()
    assert (await studio.job(job_id)).state is JobState.DONE


async def test_a_lost_job_is_sent_again_once_it_is_silent(studio: Any) -> None:
    job_id, _ = await send(studio)
    await studio.dispatcher.reconciler.reconcile_once()  # the start's
    studio.engine.lose()
    studio.dispatcher.news.take(Heartbeat(job_id=job_id, worker_id="w"))
    await studio.dispatcher.reconciler.reconcile_once()
    assert studio.engine.held == set()  # it was heard of a moment ago

    studio.clock.advance(20)
    await studio.dispatcher.reconciler.reconcile_once()
    assert studio.engine.held == {job_id}


async def test_a_stuck_job_is_evicted_and_its_late_result_changes_nothing(
    studio: Any, finished: Any
) -> None:
    job_id, lease = await send(studio)
    await studio.dispatcher.reconciler.reconcile_once()
    studio.clock.advance(301)
    await studio.dispatcher.reconciler.reconcile_once()
    assert studio.engine.source().cancelled(job_id)  # the old lease is worth nothing

    await lease.done(finished(job_id, gpu_ms=1))
    [second] = await studio.lease()
    await second.done(finished(job_id, gpu_ms=2))
    await studio.take_results()
    assert (await studio.job(job_id)).gpu_ms == 2


async def test_a_workers_death_is_no_reason_to_wait(studio: Any) -> None:
    """Half a minute until the next round would be half a minute of nothing."""
    job_id, _ = await send(studio)
    await studio.dispatcher.reconciler.reconcile_once()
    studio.engine.lose()
    studio.dispatcher.news.take(Capacity(worker_id="w", state="gone", slots=0, held=0))
    async with asyncio.timeout(5):
        await studio.dispatcher.reconciler.turn()
    assert studio.engine.held == {job_id}


async def test_progress_reaches_the_platform_and_places_are_told_once(studio: Any) -> None:
    jobs = [await studio.ask() for _ in range(3)]
    news = studio.dispatcher.news
    await news.tell_places()
    await news.tell_places()
    news.take(Progress(job_id=jobs[0], inference_step=2, total_steps=4, preview=b"p"))
    await studio.delivery.updates.turn()
    async with asyncio.timeout(5):
        await studio.wall.until(lambda wall: len(wall.updates) == 3)
    told = {update.job_id: update for update in studio.wall.updates}
    assert [told[job_id].position for job_id in jobs] == [None, 2, 3]
    assert told[jobs[0]].preview == b"p"
    assert studio.status.queue_depth == 3


# --- strikes ---


async def test_strikes_are_kept_and_travel_with_the_job(studio: Any) -> None:
    job_id, _ = await send(studio)
    studio.engine.lose()
    studio.dispatcher.news.take(Struck(job_id=job_id, strikes=1))
    await studio.dispatcher.news.record_once()
    [again] = await studio.lease()
    assert again.job.strikes == 1


async def test_a_poison_job_is_given_up_although_its_workers_cannot_say_so(studio: Any) -> None:
    job_id, _ = await send(studio)
    studio.dispatcher.news.take(Struck(job_id=job_id, strikes=MAX_STRIKES))
    await studio.dispatcher.news.record_once()
    job = await studio.job(job_id)
    assert job.state is JobState.FAILED
    assert "three times" in (job.error or "")
    assert await studio.used(job_id) == 0
    assert studio.engine.held == set()


# --- cancel ---


async def test_cancel_while_queued(studio: Any) -> None:
    job_id = await studio.ask("ann")
    assert (await studio.cancel("ann", job_id)).state is JobState.CANCELLED
    studio.ready()
    assert await studio.dispatcher.dispatch_once() == 0
    assert await studio.used(job_id) == 0


async def test_cancel_between_the_pick_and_the_mark(studio: Any) -> None:
    job_id = await studio.ask("ann")
    studio.ready()
    send = studio.engine.send

    async def slowly(job: Any) -> None:
        await send(job)
        await studio.cancel("ann", job_id)

    studio.engine.send = slowly
    await studio.dispatcher.dispatch_once()
    assert (await studio.job(job_id)).state is JobState.CANCELLED
    assert studio.engine.held == set()


async def test_cancel_of_a_job_that_the_engine_forgets_without_a_word(studio: Any) -> None:
    job_id = await studio.ask("ann")
    studio.ready()
    await studio.dispatcher.dispatch_once()
    assert (await studio.cancel("ann", job_id)).state is JobState.SENT

    await studio.dispatcher.reconciler.cancel_turn()
    assert studio.engine.held == set()
    assert (await studio.job(job_id)).state is JobState.SENT
    studio.clock.advance(20)
    await studio.dispatcher.reconciler.reconcile_once()
    assert studio.engine.held == set()  # not sent again: it is to end

    await studio.dispatcher.reconciler.cancel_once()
    assert (await studio.job(job_id)).state is JobState.CANCELLED
    assert await studio.used(job_id) == 0


async def test_cancel_of_a_running_job_is_the_workers_to_answer(studio: Any, finished: Any) -> None:
    job_id, lease = await send(studio, member="ann")
    studio.begins(lease)
    await studio.dispatcher.news.record_once()
    await studio.cancel("ann", job_id)
    await studio.dispatcher.reconciler.cancel_once()
    assert studio.engine.source().cancelled(job_id)

    await lease.done(cancelled(job_id))
    await studio.take_results()
    assert (await studio.job(job_id)).state is JobState.CANCELLED


async def test_a_cancel_outlives_the_gateway_that_was_asked(studio: Any) -> None:
    job_id, _ = await send(studio, member="ann")
    await studio.cancel("ann", job_id)
    studio.restart()  # before the engine heard of it
    await studio.dispatcher.reconciler.reconcile_once()
    await studio.dispatcher.reconciler.cancel_once()
    assert studio.engine.source().cancelled(job_id)

    studio.clock.advance(10)  # its worker died with the gateway: nobody answers
    await studio.dispatcher.reconciler.cancel_once()
    assert (await studio.job(job_id)).state is JobState.CANCELLED
    assert await studio.used(job_id) == 0


async def test_cancel_that_comes_too_late_changes_nothing(studio: Any, finished: Any) -> None:
    job_id, lease = await send(studio, member="ann")
    await studio.cancel("ann", job_id)
    await lease.done(finished(job_id))
    await studio.take_results()
    studio.clock.advance(60)
    await studio.dispatcher.reconciler.cancel_once()
    assert (await studio.job(job_id)).state is JobState.DONE


async def test_a_cancel_is_asked_again_where_the_engine_failed(studio: Any) -> None:
    job_id, _ = await send(studio, member="ann")
    asked = studio.engine.cancel
    studio.engine.cancel = _broken
    await studio.cancel("ann", job_id)
    with pytest.raises(ConnectionError):
        await studio.dispatcher.reconciler.cancel_once()
    studio.engine.cancel = asked
    await studio.dispatcher.reconciler.cancel_once()
    assert studio.engine.source().cancelled(job_id)


async def _broken(*_: Any) -> None:
    raise ConnectionError("as scripted")


# --- broken databases and engines ---


@pytest.mark.parametrize("point", ["begin", "commit"])
async def test_a_result_waits_for_a_broken_database(studio: Any, finished: Any, point: str) -> None:
    job_id, lease = await send(studio)
    await lease.done(finished(job_id))
    studio.faults.fail_next(6, OSError("disk full"), points=(point,))
    async with asyncio.timeout(30):
        await studio.take_results()
    assert (await studio.job(job_id)).state is JobState.DONE
    assert await studio.used(job_id) == 100
    assert studio.engine.unacknowledged == set()


async def test_nothing_is_acknowledged_before_it_is_committed(studio: Any, finished: Any) -> None:
    job_id, lease = await send(studio)
    await lease.done(finished(job_id))
    studio.faults.crash_after(1)  # begin, then die instead of committing
    with pytest.raises(BaseException):  # noqa: B017, PT011 - the test's own Crash
        await studio.take_results()
    assert studio.engine.unacknowledged == {job_id}


async def test_a_result_that_no_database_would_take_fails_the_job(
    studio: Any, finished: Any
) -> None:
    """Otherwise it would be tried for ever, and the job would never end."""
    job_id, lease = await send(studio)
    await lease.done(finished(job_id))
    complete = studio.jobs.complete

    async def picky(result: EngineResult) -> bool:
        if result.state == "done":
            raise ValueError("a row that violates something")
        return await complete(result)

    studio.jobs.complete = picky
    async with asyncio.timeout(30):
        await studio.take_results()
    assert (await studio.job(job_id)).state is JobState.FAILED
    assert await studio.used(job_id) == 0


async def test_an_engine_that_is_away_keeps_the_order(studio: Any) -> None:
    jobs = [await studio.ask() for _ in range(3)]
    studio.ready()
    send = studio.engine.send
    studio.engine.send = _broken
    with pytest.raises(ConnectionError):
        await studio.dispatcher.dispatch_once()
    assert [(await studio.job(job_id)).state for job_id in jobs] == [JobState.QUEUED] * 3

    studio.engine.send = send
    await studio.dispatcher.dispatch_once()
    assert [lease.job.id for lease in await studio.lease()] == jobs


async def test_a_job_that_cannot_travel_fails_instead_of_blocking_the_line(studio: Any) -> None:
    bad, good = await studio.ask(), await studio.ask()
    send = studio.engine.send

    async def picky(job: Any) -> None:
        if job.id == bad:
            raise ValueError("larger than a message may be")
        await send(job)

    studio.engine.send = picky
    studio.ready()
    await studio.dispatcher.dispatch_once()
    assert (await studio.job(bad)).state is JobState.FAILED
    assert studio.engine.held == {good}


async def test_beginnings_are_not_lost_with_a_failed_write(studio: Any) -> None:
    job_id, lease = await send(studio)
    studio.begins(lease)
    studio.faults.fail_next(1, OSError("disk full"), points=("commit",))
    with pytest.raises(OSError, match="disk full"):
        await studio.dispatcher.news.record_once()
    await studio.dispatcher.news.record_once()
    assert (await studio.job(job_id)).state is JobState.RUNNING


async def test_every_loop_outlives_its_errors(studio: Any, finished: Any) -> None:
    """The database fails now and then while real loops run; every job is answered."""
    studio.pace = Pace(first_retry_s=0.0)  # the studio's clock stands still here
    studio.restart()
    jobs = [await studio.ask(member) for member in "abc" for _ in range(4)]
    left = iter(range(1, 400))

    def now_and_then(point: str) -> None:
        if next(left, 0) % 7 == 3:
            raise OSError("now and then")

    studio.faults.at = now_and_then
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(answer_all(studio.engine, lambda job: finished(job.id))),
            tasks.create_task(studio.dispatcher.run()),
            tasks.create_task(studio.delivery.run()),
        ]
        await studio.wall.until(lambda wall: len(wall.arrived) == len(jobs))
        for task in running:
            task.cancel()
    assert [len(studio.wall.arrived[job_id]) for job_id in jobs] == [1] * len(jobs)
