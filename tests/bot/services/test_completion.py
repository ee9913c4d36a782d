"""How jobs end: the first result wins, the ledger balances, an answer is due; and cancelling."""

from __future__ import annotations

import asyncio

import pytest
from desk import Desk
from people_and_jobs import origin

from bot.core.chat import Role
from bot.core.domain import DeliveryState, JobState, PostingKind
from bot.errors import NotAllowed, NotFound
from generators.engine.port import ArtifactRef


async def test_a_done_job_is_settled_at_its_measured_cost(desk: Desk) -> None:
    job_id = (await desk.ask()).job_id
    await desk.send(job_id)
    await desk.send(job_id, JobState.RUNNING)
    desk.later(3)
    ref = ArtifactRef(key="k", mime="text/plain", size_bytes=3, facts={"text": "a\0\ud800b"})
    grid = ArtifactRef(key="g", mime="image/png", size_bytes=3, role="grid")
    receipt = {"seed": 7, "params": {"prompt": "\0"}}
    assert await desk.report(job_id, "done", gpu_ms=2500, artifacts=(ref, grid), receipt=receipt)
    job = await desk.job(job_id)
    assert (job.state, job.gpu_ms, job.finished_at) == (JobState.DONE, 2500, desk.now)
    assert job.receipt == {"seed": 7, "params": {"prompt": "\ufffd"}}
    first, second = await desk.artifacts(job_id)
    assert (first.role, first.position, first.facts) == ("item", 0, {"text": "a\ufffd\ufffdb"})
    assert (second.role, second.position, second.account_id) == ("grid", 1, job.account_id)
    reserve, settle = await desk.entries(job_id)
    assert (settle.kind, settle.gpu_ms, settle.jobs) == (PostingKind.SETTLE, -3500, 0)
    assert settle.counted_at == reserve.counted_at
    delivery = await desk.delivery(job_id)
    assert (delivery.state, delivery.next_attempt_at) == (DeliveryState.PENDING, desk.now)


async def test_what_it_cost_beyond_the_estimate_is_the_house_s(desk: Desk) -> None:
    job_id = (await desk.ask()).job_id
    await desk.finish(job_id, gpu_ms=99_000)
    assert (await desk.job(job_id)).gpu_ms == 99_000
    assert sum(entry.gpu_ms for entry in await desk.entries(job_id)) == 6000


@pytest.mark.parametrize("state", ["failed", "cancelled"])
async def test_who_got_nothing_pays_nothing(desk: Desk, state: str) -> None:
    job_id = (await desk.ask()).job_id
    ref = ArtifactRef(key="k", mime="image/png", size_bytes=3)
    assert await desk.report(
        job_id, state, gpu_ms=900, error="It \0 broke.", artifacts=(ref,), error_kind="crashed"
    )
    job = await desk.job(job_id)
    assert (job.state, job.gpu_ms, job.error) == (state, 900, "It \ufffd broke.")
    _, release = await desk.entries(job_id)
    assert (release.kind, release.gpu_ms, release.jobs) == (PostingKind.RELEASE, -6000, -1)
    usage = (await desk.quota.view(origin())).usage
    assert (usage.gpu_ms, usage.jobs, usage.oldest_counted_at) == (0, 0, None)
    assert await desk.artifacts(job_id) == ()
    assert (await desk.delivery(job_id)).state is DeliveryState.PENDING


async def test_the_first_result_wins(desk: Desk) -> None:
    job_id = (await desk.ask()).job_id
    assert await desk.finish(job_id, 1000, b"one")
    assert not await desk.finish(job_id, 2000, b"two")
    assert not await desk.report(job_id, "failed")
    assert (await desk.job(job_id)).gpu_ms == 1000
    assert len(await desk.artifacts(job_id)) == 1
    assert len(await desk.entries(job_id)) == 2


async def test_results_that_come_at_once_end_the_job_once(desk: Desk) -> None:
    job_id = (await desk.ask()).job_id
    states = ("done", "failed", "cancelled") * 4
    ends = await asyncio.gather(*(desk.report(job_id, state) for state in states))
    assert sum(ends) == 1
    assert len(await desk.entries(job_id)) == 2


async def test_a_result_for_a_job_that_nobody_knows_changes_nothing(desk: Desk) -> None:
    assert not await desk.report("f" * 32, "done")


async def test_a_waiting_job_is_cancelled_at_once(desk: Desk) -> None:
    first, latest = await desk.ask(), await desk.ask()
    job = await desk.jobs.cancel(origin(), None)
    assert (job.id, job.state) == (latest.job_id, JobState.CANCELLED)
    assert (desk.ended, desk.stopped) == ([latest.job_id], [])
    assert (await desk.delivery(job.id)).state is DeliveryState.PENDING
    assert sum(entry.gpu_ms for entry in await desk.entries(job.id)) == 0
    assert [job.id for job in await desk.line()] == [first.job_id]
    again = await desk.jobs.cancel(origin(), latest.job_id)  # a second click
    assert again.state is JobState.CANCELLED
    assert desk.ended == [latest.job_id]


@pytest.mark.parametrize("state", [JobState.SENT, JobState.RUNNING])
async def test_a_sent_job_is_stopped_by_the_engine(desk: Desk, state: JobState) -> None:
    job_id = (await desk.ask()).job_id
    await desk.send(job_id, state)
    job = await desk.jobs.cancel(origin(), job_id)
    assert (job.state, desk.stopped, desk.ended) == (state, [job_id], [])
    assert await desk.report(job_id, "cancelled", gpu_ms=300)
    assert sum(entry.gpu_ms for entry in await desk.entries(job_id)) == 0


async def test_there_must_be_something_to_cancel(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.jobs.cancel(origin(), None)
    job_id = (await desk.ask()).job_id
    await desk.finish(job_id)
    for wanted in (None, job_id):
        with pytest.raises(NotFound):
            await desk.jobs.cancel(origin(), wanted)
    with pytest.raises(NotFound):
        await desk.jobs.cancel(origin(), "f" * 32)


async def test_only_the_owner_and_moderators_of_the_place_cancel(desk: Desk) -> None:
    job_id = (await desk.ask(origin("anna", "here"))).job_id
    hidden = (await desk.ask(origin("anna", "here"), private=True)).job_id
    with pytest.raises(NotAllowed):
        await desk.jobs.cancel(origin("ben", "here"), job_id)
    for who in (
        origin("ben", "there"),
        origin("mod", "there", role=Role.MODERATOR),
        origin("mod", "mod", personal=True, role=Role.MODERATOR),
    ):
        with pytest.raises(NotFound):
            await desk.jobs.cancel(who, job_id)
    moderator = origin("mod", "here", role=Role.MODERATOR)
    with pytest.raises(NotFound):
        await desk.jobs.cancel(moderator, hidden)
    assert (await desk.jobs.cancel(moderator, job_id)).state is JobState.CANCELLED
    from_home = origin("anna", "anna", personal=True)
    assert (await desk.jobs.cancel(from_home, hidden)).state is JobState.CANCELLED


async def test_cancelling_and_finishing_at_once_is_one_end(desk: Desk) -> None:
    for _ in range(5):
        job_id = (await desk.ask()).job_id
        await asyncio.gather(
            desk.jobs.cancel(origin(), job_id), desk.finish(job_id, 1000), return_exceptions=True
        )
        job, entries = await desk.job(job_id), await desk.entries(job_id)
        assert len(entries) == 2
        expected = 1000 if job.state is JobState.DONE else 0
        assert sum(entry.gpu_ms for entry in entries) <= max(expected, 6000)
        assert job.state.ended
