"""The outbox: one answer per job, whatever the platform does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.core.chat import Reply
from bot.core.domain import DeliveryState
from bot.errors import DeliveryGone, DeliveryRetry
from bot.services.outbox import Pace
from generators.engine.port import EngineResult


async def ended(studio: Any, finished: Any, platform: str = "wall", **asked: Any) -> str:
    """A job that is done and whose answer is due."""
    job_id: str = await studio.ask(platform=platform, **asked)
    await studio.dispatcher.completion.end(finished(job_id))
    return job_id


def raising(*errors: BaseException | None) -> Any:
    """A script whose deliveries meet these, one after the other, and then nothing."""
    left = iter(errors)

    def script(_: Any) -> None:
        if (error := next(left, None)) is not None:
            raise error

    return script


def arriving_but(*errors: BaseException | None) -> Any:
    """The same, but each answer has arrived before its error comes back."""
    left = iter(errors)

    async def script(_: Any) -> BaseException | None:
        return next(left, None)

    return script


async def retry_later(studio: Any) -> None:
    """Let every pause go by and deliver what is due then."""
    studio.clock.advance(3600)
    await studio.deliver()


async def test_the_answer_is_delivered_once_and_its_message_remembered(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished)
    await studio.deliver()
    await retry_later(studio)
    outbox = await studio.outbox(job_id)
    assert (outbox.state, outbox.message_id) == (DeliveryState.DELIVERED, f"message-{job_id}")
    [reply] = studio.wall.arrived[job_id]
    assert [artifact.job_id for artifact in reply.media] == [job_id]
    assert outbox.address == {"member": "ann"}


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
async def test_failures_and_cancels_are_said_in_the_members_language(
    studio: Any, finished: Any, locale: str
) -> None:
    failed = await studio.ask(locale=locale)
    broken = await studio.ask(locale=locale)
    cancelled = await studio.ask(locale=locale)
    for job_id, state, error in (
        (failed, "failed", "No {such} thing."),
        (broken, "failed", None),
        (cancelled, "cancelled", None),
    ):
        await studio.dispatcher.completion.end(
            EngineResult(job_id=job_id, state=state, error=error)
        )
    await studio.deliver()
    said = {job_id: studio.wall.arrived[job_id][0] for job_id in (failed, broken, cancelled)}
    assert "No {such} thing." in said[failed].text
    assert broken[:8] in said[broken].text
    assert [said[job_id].error for job_id in said] == [True, True, False]
    assert all(("额度" in reply.text) == (locale == "zh-CN") for reply in said.values())


async def test_a_presenter_that_breaks_costs_only_the_decoration(
    studio: Any, finished: Any
) -> None:
    def broken(*_: Any) -> Reply:
        raise KeyError("as scripted")

    studio.delivery._presenters = {"imagine": broken}
    job_id = await ended(studio, finished)
    await studio.deliver()
    assert studio.wall.arrived[job_id][0].media


async def test_retry_waits_as_long_as_asked_and_longer_each_time(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished)
    studio.wall.script = raising(
        DeliveryRetry("429", after_s=40.0), *[DeliveryRetry("500") for _ in range(20)]
    )
    await studio.deliver()
    waits = []
    while not await studio.delivered(job_id):
        due = (await studio.outbox(job_id)).next_attempt_at
        waits.append((due - studio.clock()).total_seconds())
        studio.clock.advance(waits[-1])
        await studio.deliver()
    assert 40.0 <= waits[0] <= 44.1
    assert waits[1] < waits[5] < waits[9]
    assert max(waits) <= 1.5 * Pace().longest_retry_s
    assert len(waits) == 21
    assert len(studio.wall.arrived[job_id]) == 1


async def test_nothing_is_sent_to_a_place_that_is_gone(studio: Any, finished: Any) -> None:
    job_id = await ended(studio, finished)
    studio.wall.script = raising(DeliveryGone("the channel was deleted"))
    await studio.deliver()
    await retry_later(studio)
    assert (await studio.outbox(job_id)).state is DeliveryState.GONE
    assert studio.wall.arrived == {}


async def test_an_erased_job_is_not_answered(studio: Any, finished: Any) -> None:
    job_id = await ended(studio, finished)
    async with studio.store.unit_of_work() as uow:
        await uow.jobs.erase(job_id)
        await uow.commit()
    await studio.deliver()
    assert studio.wall.arrived == {}


async def test_answers_wait_for_a_platform_whose_token_was_taken_away(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished)
    del studio.platforms["wall"]
    await studio.deliver()
    outbox = await studio.outbox(job_id)
    assert (outbox.state, outbox.attempts) == (DeliveryState.PENDING, 0)
    assert outbox.next_attempt_at >= studio.clock() + timedelta(minutes=10)

    studio.platforms["wall"] = studio.wall
    studio.restart()
    await retry_later(studio)
    assert await studio.delivered(job_id)


async def test_an_answer_delivered_while_the_outbox_is_read_is_not_delivered_again(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished)
    begun, release = asyncio.Event(), asyncio.Event()

    async def slowly(_: Any) -> None:
        begun.set()
        await release.wait()

    studio.wall.script = slowly
    transaction, first = studio.store.unit_of_work, iter([True])

    @asynccontextmanager
    async def slow_to_leave(*, write: bool = True) -> AsyncIterator[Any]:
        slow = next(first, False)
        async with transaction(write=write) as uow:
            yield uow
        if slow:
            release.set()
            await studio.delivery.settle()

    async with asyncio.timeout(30):
        await studio.delivery.start_due()
        await begun.wait()
        studio.store.unit_of_work = slow_to_leave
        assert await studio.delivery.start_due() == 0
        await studio.delivery.settle()
    assert len(studio.wall.arrived[job_id]) == 1


# --- where a send cannot be repeated ---


async def test_a_send_with_an_unknown_outcome_is_repeated_once_and_metered(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished, "radio")
    lost = DeliveryRetry("the connection broke", unknown=True)
    studio.radio.script = arriving_but(lost, lost, lost)
    await studio.deliver()
    for _ in range(3):
        await retry_later(studio)
    assert len(studio.radio.arrived[job_id]) == 2
    assert (await studio.outbox(job_id)).state is DeliveryState.GONE
    assert studio.metrics.unknown_outcomes.labels("radio")._value.get() == 2


async def test_a_send_that_surely_failed_may_be_repeated_as_often_as_it_takes(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished, "radio")
    studio.radio.script = raising(*[DeliveryRetry("503") for _ in range(5)])
    await studio.deliver()
    for _ in range(5):
        await retry_later(studio)
    assert await studio.delivered(job_id)
    assert len(studio.radio.arrived[job_id]) == 1


@pytest.mark.parametrize(("platform", "heard"), [("wall", 3), ("radio", 2)])
async def test_dying_while_sending_repeats_an_edit_freely_and_a_send_once(
    studio: Any, finished: Any, platform: str, heard: int
) -> None:
    job_id = await ended(studio, finished, platform)
    here = studio.platforms[platform]
    crash = type("Crash", (BaseException,), {})
    here.script = arriving_but(crash(), crash(), None)
    for _ in range(3):
        await studio.deliver()
        studio.restart()
    await retry_later(studio)
    assert len(here.arrived[job_id]) == heard
    state = (await studio.outbox(job_id)).state
    assert state is (DeliveryState.DELIVERED if platform == "wall" else DeliveryState.GONE)


async def test_a_crash_before_the_send_is_recorded_costs_nothing(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished, "radio")
    studio.faults.crash_after(3)  # look, read, begin the record, die instead of committing it
    await studio.deliver()
    studio.faults.calm()
    assert (await studio.outbox(job_id)).state is DeliveryState.PENDING
    studio.restart()
    await studio.deliver()
    assert len(studio.radio.arrived[job_id]) == 1


@pytest.mark.parametrize("platform", ["wall", "radio"])
async def test_a_database_that_fails_after_the_send_does_not_repeat_it(
    studio: Any, finished: Any, platform: str
) -> None:
    job_id = await ended(studio, finished, platform)
    here = studio.platforms[platform]

    async def then_break(_: Any) -> None:
        studio.faults.fail_next(3, OSError("disk full"), points=("commit",))

    here.script = then_break
    async with asyncio.timeout(30):
        await studio.deliver()
    assert await studio.delivered(job_id)
    assert len(here.arrived[job_id]) == 1


async def test_a_removed_platform_does_not_make_us_forget_a_send_begun(
    studio: Any, finished: Any
) -> None:
    job_id = await ended(studio, finished, "radio")
    crash = type("Crash", (BaseException,), {})
    studio.radio.script = arriving_but(crash())
    await studio.deliver()
    del studio.platforms["radio"]
    studio.restart()
    await studio.deliver()
    assert (await studio.outbox(job_id)).state is DeliveryState.SENDING


# --- platforms that hang ---


async def test_a_platform_that_hangs_is_given_up_and_tried_again(
    studio: Any, finished: Any
) -> None:
    studio.pace = replace(studio.pace, deliver_timeout_s=0.01)
    studio.restart()
    job_id = await ended(studio, finished)

    async def hang(_: Any) -> None:
        await asyncio.Event().wait()

    studio.wall.script = hang
    await studio.deliver()
    assert (await studio.outbox(job_id)).attempts == 1
    studio.wall.script = raising()
    await retry_later(studio)
    assert await studio.delivered(job_id)


async def test_a_dead_platform_keeps_no_other_waiting(studio: Any, finished: Any) -> None:
    """More answers hang than are looked at in one go."""
    release = asyncio.Event()

    async def hang(_: Any) -> None:
        await release.wait()

    studio.wall.script = hang
    hanging = [await ended(studio, finished) for _ in range(80)]
    other = await ended(studio, finished, "radio")
    loop = asyncio.create_task(studio.delivery.run())
    async with asyncio.timeout(30):
        await studio.radio.until(lambda radio: other in radio.arrived)
        assert studio.wall.arrived == {}
        release.set()
        await studio.wall.until(lambda wall: len(wall.arrived) == len(hanging))
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_stopping_lets_a_send_finish(studio: Any, finished: Any) -> None:
    """A restart on purpose is no reason to send an answer twice."""
    job_id = await ended(studio, finished, "radio")
    begun, release = asyncio.Event(), asyncio.Event()

    async def slowly(_: Any) -> None:
        begun.set()
        await release.wait()

    studio.radio.script = slowly
    loop = asyncio.create_task(studio.delivery.run())
    async with asyncio.timeout(30):
        await begun.wait()
        loop.cancel()
        asyncio.get_running_loop().call_soon(release.set)
        await asyncio.gather(loop, return_exceptions=True)
    assert await studio.delivered(job_id)
