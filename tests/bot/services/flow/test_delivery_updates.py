"""News of running jobs: only the newest, never after the answer, never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.core.chat import Update
from bot.services.updates import merged


@pytest.fixture
async def loops(studio: Any) -> AsyncIterator[None]:
    """The delivery's loops are running."""
    loop = asyncio.create_task(studio.delivery.run())
    yield
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


def step(job_id: str, number: int, **more: Any) -> Update:
    return Update(job_id, "running", inference_step=number, total_steps=99, **more)


@pytest.mark.usefixtures("loops")
async def test_a_slow_platform_sees_the_newest_only(studio: Any) -> None:
    job_id = await studio.ask()
    begun, release = asyncio.Event(), asyncio.Event()

    async def slowly(_: Update) -> None:
        begun.set()
        await release.wait()

    studio.wall.on_update = slowly
    async with asyncio.timeout(30):
        studio.delivery.publish(step(job_id, 1))
        await begun.wait()
        for number in range(2, 50):
            studio.delivery.publish(step(job_id, number, preview=b"2" if number == 2 else None))
        release.set()
        await studio.wall.until(lambda wall: len(wall.updates) == 2)
    assert [update.inference_step for update in studio.wall.updates] == [1, 49]
    assert studio.wall.updates[1].preview == b"2"


@pytest.mark.usefixtures("loops")
async def test_no_update_follows_the_answer(studio: Any, finished: Any) -> None:
    """One is being shown when the job ends, others come late."""
    job_id, other = await studio.ask(), await studio.ask()
    begun, release = asyncio.Event(), asyncio.Event()

    async def slowly(update: Update) -> None:
        if update.job_id == job_id:
            begun.set()
            await release.wait()

    studio.wall.on_update = slowly
    async with asyncio.timeout(30):
        studio.delivery.publish(step(job_id, 1))
        await begun.wait()
        studio.delivery.publish(step(job_id, 2))
        await studio.dispatcher.completion.end(finished(job_id))
        await studio.delivery.start_due()
        studio.delivery.publish(step(job_id, 3))
        release.set()
        await studio.wall.until(lambda wall: job_id in wall.arrived)
        studio.delivery.publish(step(job_id, 4))
        studio.delivery.publish(step(other, 1))
        await studio.wall.until(lambda wall: ("update", other) in wall.shown)
    assert [what for what, whose in studio.wall.shown if whose == job_id] == ["update", "answer"]


async def test_late_news_is_stopped_after_a_restart_too(studio: Any, finished: Any) -> None:
    job_id = await studio.ask()
    await studio.dispatcher.completion.end(finished(job_id))
    await studio.deliver()
    studio.restart()
    studio.delivery.publish(step(job_id, 5))
    await studio.delivery.updates.turn()
    await asyncio.gather(*studio.delivery.updates._showing.values())
    assert studio.wall.updates == []


async def test_an_update_that_hangs_holds_the_answer_up_for_a_moment_only(
    studio: Any, finished: Any
) -> None:
    job_id = await studio.ask()
    begun = asyncio.Event()

    async def hang(_: Update) -> None:
        begun.set()
        await asyncio.Event().wait()

    studio.wall.on_update = hang
    async with asyncio.timeout(30):
        studio.delivery.publish(step(job_id, 1))
        await studio.delivery.updates.turn()
        await begun.wait()
        studio.delivery.updates._timeout_s = 0.05
        await studio.dispatcher.completion.end(finished(job_id))
        await studio.deliver()
    assert await studio.delivered(job_id)


@pytest.mark.usefixtures("loops")
async def test_an_update_that_breaks_breaks_nothing_else(studio: Any) -> None:
    job_id = await studio.ask()

    async def broken(_: Update) -> None:
        studio.wall.on_update = None
        raise KeyError("as scripted")

    studio.wall.on_update = broken
    async with asyncio.timeout(30):
        studio.delivery.publish(step(job_id, 1))
        while studio.wall.on_update is not None:
            await asyncio.sleep(0)
        studio.delivery.publish(step(job_id, 2))
        await studio.wall.until(lambda wall: len(wall.updates) == 1)


def test_merging_keeps_what_the_newer_one_does_not_know() -> None:
    older = step("a", 3, preview=b"p", preview_mime="image/png", text="so far")
    assert merged(older, Update("a", "running")) == older
    newer = step("a", 4, preview=b"q", preview_mime="image/webp")
    assert merged(older, newer) == step(
        "a", 4, preview=b"q", preview_mime="image/webp", text="so far"
    )
    waiting = Update("a", "queued", position=3)
    assert merged(waiting, older) == older
