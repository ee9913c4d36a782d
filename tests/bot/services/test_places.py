"""Position in line and when to expect the result."""

from __future__ import annotations

from datetime import timedelta

from desk import Desk
from people_and_jobs import NOON, origin

from bot.core.domain import JobState
from bot.services.places import pace


def test_the_pace_is_the_mean_gap_but_never_longer_than_the_job_itself() -> None:
    def finished(*seconds: float) -> list[object]:
        return [NOON + timedelta(seconds=at) for at in seconds]

    assert pace([], 5.0) is None
    assert pace(finished(0, 1), 5.0) is None  # type: ignore[arg-type]
    # Newest first, as the store tells them; a batch of four finishes at once.
    assert pace(finished(8, 4, 4, 4, 4, 0), 5.0) == 1.6  # type: ignore[arg-type]
    assert pace(finished(90_000, 4000, 0), 5.0) == 5.0  # type: ignore[arg-type]


async def test_nothing_is_promised_before_anything_was_measured(desk: Desk) -> None:
    first, second = await desk.ask(), await desk.ask(origin("ben"))
    assert (first.position, first.eta_s) == (1, None)
    assert (second.position, second.eta_s) == (2, None)


async def test_the_eta_is_the_place_times_the_pace(desk: Desk) -> None:
    for _ in range(4):
        ticket = await desk.ask()
        desk.later(2.0)
        await desk.finish(ticket.job_id, gpu_ms=2000)
    first, second = await desk.ask(), await desk.ask()
    assert (first.position, second.position) == (1, 2)
    assert first.eta_s is not None
    assert 1.9 <= first.eta_s <= 2.1
    assert second.eta_s == 2 * first.eta_s

    await desk.send(first.job_id)
    assert await desk.jobs.place(await desk.job(first.job_id)) == (0, first.eta_s)
    await desk.send(first.job_id, JobState.RUNNING)
    desk.later(0.5)
    assert await desk.jobs.place(await desk.job(first.job_id)) == (0, 1.5)
    desk.later(60)
    assert await desk.jobs.place(await desk.job(first.job_id)) == (0, 0.0)
    assert await desk.jobs.place(await desk.job(second.job_id)) == (1, first.eta_s)
    await desk.finish(first.job_id)
    assert await desk.jobs.place(await desk.job(first.job_id)) == (0, None)


async def test_live_jobs_are_one_s_own_of_this_place(desk: Desk) -> None:
    here = await desk.ask(origin("anna", "here"))
    there = await desk.ask(origin("anna", "there"))
    await desk.ask(origin("ben", "here"))
    done = await desk.ask(origin("anna", "here"))
    await desk.finish(done.job_id)
    [(job, position, eta_s)] = await desk.jobs.live(origin("anna", "here"))
    assert (job.id, position, eta_s) == (here.job_id, 1, None)
    everywhere = await desk.jobs.live(origin("anna", "anna", personal=True))
    assert [job.id for job, _, _ in everywhere] == [here.job_id, there.job_id]
    assert await desk.jobs.live(origin("nobody")) == []
