"""What members upload: kept with the job, erased with the job, and never left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from desk import PLENTY, Desk
from people_and_jobs import origin

from bot.core.chat import Origin
from bot.core.domain import JobState, Limits
from bot.errors import BadOption, TooManyJobs, UserError
from generators.artifacts import ArtifactMissing
from generators.contract import Media

BEN = origin("ben")


def picture(data: bytes = b"a picture") -> Media:
    """What `services.pictures` makes of an upload; nobody here looks inside."""
    return Media(data, "image/png", {"width": 64, "height": 64})


async def _asked(desk: Desk, who: Origin | None = None, **draft: Any) -> str:
    values = {"model": "lanczos", "params": {"scale": 2}, "count": 1, **draft}
    return (await desk.ask(who, **values)).job_id


async def test_an_upload_is_kept_by_its_job_and_goes_with_it(desk: Desk) -> None:
    job_id = await _asked(desk, inputs={"image": picture()})
    ref = (await desk.job(job_id)).inputs["image"]
    assert (ref.role, ref.mime, ref.facts) == ("input", "image/png", {"width": 64, "height": 64})
    assert await desk.shelf.get(ref.key) == b"a picture"
    await desk.finish(job_id, 10, b"larger")
    kept, made = await desk.artifacts(job_id)
    assert (kept.role, kept.key, kept.position) == ("input", ref.key, -1)
    assert (made.role, made.position) == ("item", 0)
    await desk.history.delete(origin(), job_id)
    with pytest.raises(ArtifactMissing):
        await desk.shelf.get(ref.key)


@pytest.mark.parametrize(
    ("draft", "limits", "error"),
    [
        ({"params": {"scale": 99}}, PLENTY, BadOption),
        ({"model": "nobody"}, PLENTY, BadOption),
        ({}, Limits(waiting_jobs=1), TooManyJobs),
    ],
)
async def test_a_refused_upload_leaves_nothing(
    desk: Desk, draft: dict[str, Any], limits: Limits, error: type[UserError]
) -> None:
    await _asked(desk)
    desk.use(limits)
    with pytest.raises(error):
        await _asked(desk, inputs={"image": picture()}, **draft)
    assert desk.shelf.claims == set()


async def test_clearing_up_spares_what_an_earlier_job_holds(desk: Desk) -> None:
    held = await _asked(desk, inputs={"image": picture()})
    desk.use(Limits(waiting_jobs=1))
    with pytest.raises(TooManyJobs):
        await _asked(desk, inputs={"image": picture(), "image_b": picture(b"another")})
    assert await desk.shelf.get((await desk.job(held)).inputs["image"].key) == b"a picture"
    assert len(desk.shelf.claims) == 1


async def test_two_at_once_of_which_one_is_refused(desk: Desk) -> None:
    desk.use(Limits(waiting_jobs=1))
    ends = await asyncio.gather(
        *(_asked(desk, inputs={"image": picture()}) for _ in range(4)), return_exceptions=True
    )
    [job_id] = [end for end in ends if isinstance(end, str)]
    assert await desk.shelf.get((await desk.job(job_id)).inputs["image"].key) == b"a picture"


async def test_the_same_event_again_stores_nothing_more(desk: Desk) -> None:
    first = await _asked(desk, inputs={"image": picture()}, event="once")
    assert await _asked(desk, inputs={"image": picture()}, event="once") == first
    assert len(desk.shelf.claims) == len(await desk.artifacts(first)) == 1
    await desk.report(first, "failed")
    await desk.history.delete(origin(), first)
    assert await _asked(desk, inputs={"image": picture()}, event="once") == first
    assert desk.shelf.claims == set()  # the job was deleted: its event brings nothing back


async def test_an_upload_used_again_is_held_by_both_jobs(desk: Desk) -> None:
    first = await _asked(desk, inputs={"image": picture()})
    inputs = (await desk.job(first)).inputs
    again, by_ben = await _asked(desk, inputs=inputs), await _asked(desk, BEN, inputs=inputs)
    assert [one.role for one in await desk.artifacts(again)] == ["input"]
    assert await desk.artifacts(by_ben) == ()  # it is Anna's to delete
    for job_id in (first, again):
        await desk.send(job_id)
        await desk.report(job_id, "done")
    await desk.history.delete(origin(), first)
    assert await desk.shelf.get(inputs["image"].key) == b"a picture"
    await desk.history.delete(origin(), again)
    with pytest.raises(ArtifactMissing):
        await desk.shelf.get(inputs["image"].key)


async def test_a_stranger_is_met_by_their_upload(desk: Desk) -> None:
    stranger = origin("carl", "a new place")
    job = await desk.job(await _asked(desk, stranger, inputs={"image": picture()}))
    assert desk.shelf.claims == {(job.inputs["image"].key, job.account_id)}
    assert job.state is JobState.QUEUED
