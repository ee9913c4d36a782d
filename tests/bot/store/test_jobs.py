"""The port `JobStore` on every store: once only, compare and set, history, erasing, figures."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from people_and_jobs import (
    NOON,
    a_delivery,
    a_job,
    added,
    an_artifact,
    ended,
    joined,
    origin,
)

from bot.core.domain import DeliveryState, Job, JobState
from bot.core.ports import Standing
from bot.store.database import Store
from generators.engine.port import ArtifactRef

REF = ArtifactRef(key="ab" * 32, mime="image/png", size_bytes=9, facts={"width": 64})


async def test_a_job_comes_back_as_it_was_written(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = a_job(
        member,
        params={"prompt": "紅い心 ❤", "width": 64, "guidance_scale": None},
        inputs={"image": REF},
        seed=2**32 - 1,
        parent_job_id="f" * 32,
        private=True,
        locale="zh-CN",
        start_tag=0.1 + 0.2,
    )
    await added(store.unit_of_work, job)
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.get(job.id) == job
        assert await uow.jobs.by_origin_key(job.origin_key) == job
        assert await uow.jobs.get("absent") is None
        assert await uow.jobs.by_origin_key("absent") is None
        assert await uow.jobs.get_many([job.id, "absent"]) == [job]
        assert await uow.jobs.get_many([]) == []


async def test_the_same_event_makes_one_job(store: Store) -> None:
    member = await joined(store.unit_of_work)
    first = a_job(member, origin_key="event-1")
    await added(store.unit_of_work, first)
    second = a_job(member, origin_key="event-1")
    async with store.unit_of_work() as uow:
        assert not await uow.jobs.add(second, a_delivery(second))
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.queued_count() == 1
        assert await uow.deliveries.get(second.id) is None
        assert await uow.jobs.by_origin_key("event-1") == first


async def test_moving_is_compare_and_set(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = a_job(member)
    await added(store.unit_of_work, job)
    live = (JobState.QUEUED, JobState.SENT, JobState.RUNNING)
    receipt = {"seed": 7, "versions": {"torch": "2"}}
    values = {"finished_at": NOON, "gpu_ms": 12, "receipt": receipt, "error": "so"}
    async with store.unit_of_work() as uow:
        assert not await uow.jobs.move(job.id, JobState.RUNNING, only_from=[JobState.SENT])
        assert not await uow.jobs.move("absent", JobState.SENT, only_from=live)
        assert await uow.jobs.move(job.id, JobState.DONE, only_from=live, values=values)
        assert not await uow.jobs.move(job.id, JobState.FAILED, only_from=live)
        await uow.jobs.set_strikes(job.id, 2)
        await uow.jobs.set_favorite(job.id, True)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        found = await uow.jobs.get(job.id)
    assert found == replace(job, state=JobState.DONE, strikes=2, favorite=True, **values)


async def test_live_jobs_are_counted_per_member(store: Store) -> None:
    anna = await joined(store.unit_of_work, origin("anna", "here"))
    elsewhere = await joined(store.unit_of_work, origin("anna", "there"))
    ben = await joined(store.unit_of_work, origin("ben", "here"))
    states = (JobState.QUEUED, JobState.QUEUED, JobState.SENT, JobState.RUNNING)
    mine = [a_job(anna, state=state) for state in states]
    others = [a_job(elsewhere), a_job(ben), ended(anna)]
    await added(store.unit_of_work, *mine, *others)
    async with store.unit_of_work(write=False) as uow:
        standing = await uow.jobs.standing(anna.account_id, anna.community_id)
        assert (standing.waiting, standing.running) == (2, 2)
        assert await uow.jobs.standing("nobody", "nowhere") == Standing(0, 0, 0.0, 0.0)
        assert await uow.jobs.live_of(anna.account_id, anna.community_id) == mine
        assert await uow.jobs.live_of(anna.account_id) == [*mine, others[0]]
        in_flight = await uow.jobs.in_flight()
        assert {job.id for job in in_flight} == {mine[2].id, mine[3].id}


async def test_history_comes_in_pages_newest_first(store: Store) -> None:
    member = await joined(store.unit_of_work)
    # Two of one instant: the id decides, and no page shows either twice.
    at = NOON + timedelta(days=1)
    jobs = [ended(member) for _ in range(3)] + [ended(member, created_at=at) for _ in range(2)]
    await added(store.unit_of_work, *jobs, a_job(member))
    newest_first = sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)
    seen: list[Job] = []
    async with store.unit_of_work(write=False) as uow:
        before = None
        while page := await uow.jobs.history(member.account_id, None, limit=2, before=before):
            seen += page
            before = (page[-1].created_at, page[-1].id)
    assert seen == newest_first


async def test_history_can_be_narrowed(store: Store) -> None:
    here = await joined(store.unit_of_work, origin("anna", "here"))
    there = await joined(store.unit_of_work, origin("anna", "there"))
    ben = await joined(store.unit_of_work, origin("ben", "here"))
    heart = ended(here, params={"prompt": "Straße mit 100% ROTEM Herz_"}, favorite=True)
    cat = ended(there, params={"prompt": "a cat"})
    enlarged = ended(here, params={"scale": 4})
    await added(store.unit_of_work, heart, cat, enlarged, ended(ben))

    async with store.unit_of_work(write=False) as uow:

        async def found(places: list[str] | None = None, **how: object) -> set[str]:
            jobs = await uow.jobs.history(here.account_id, places, limit=9, **how)  # type: ignore[arg-type]
            return {job.id for job in jobs}

        assert await found() == {heart.id, cat.id, enlarged.id}
        assert await found([there.community_id]) == {cat.id}
        assert await found([]) == set()
        assert await found(favorites=True) == {heart.id}
        assert await found(search="strasse MIT") == {heart.id}
        assert await found(search="100% r") == {heart.id}
        assert await found(search="herz_") == {heart.id}
        assert await found(search="h_rz") == set()
        assert await found(search="%") == {heart.id}


async def test_erasing_leaves_the_figures_and_nothing_of_the_content(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job = ended(
        member,
        params={"prompt": "my secret"},
        receipt={"params": {"prompt": "my secret"}},
        error="my secret",
        inputs={"image": REF},
        favorite=True,
    )
    await added(store.unit_of_work, job)
    async with store.unit_of_work() as uow:
        await uow.artifacts.add([an_artifact(job, "k1"), an_artifact(job, "k2", 1)])
        await uow.commit()
    async with store.unit_of_work() as uow:
        forgotten = await uow.jobs.erase(job.id)
        await uow.commit()
    assert {artifact.key for artifact in forgotten} == {"k1", "k2"}
    async with store.unit_of_work() as uow:
        assert await uow.jobs.get(job.id) is None
        assert await uow.jobs.history(member.account_id, None, limit=9) == []
        assert await uow.artifacts.of_jobs([job.id]) == {job.id: ()}
        assert await uow.artifacts.get(forgotten[0].id) is None
        left = await uow.jobs.by_origin_key(job.origin_key)
        delivery = await uow.deliveries.get(job.id)
        assert await uow.jobs.erase(job.id) == []
    assert left is not None
    assert delivery is not None
    assert "secret" not in repr(left)
    assert (left.gpu_ms, left.state, left.account_id) == (4000, JobState.DONE, member.account_id)
    assert (dict(delivery.address), delivery.state) == ({}, DeliveryState.GONE)


async def test_bytes_that_something_else_still_shows_are_not_forgotten(store: Store) -> None:
    anna = await joined(store.unit_of_work, origin("anna"))
    ben = await joined(store.unit_of_work, origin("ben"))
    doomed, twin, strangers = ended(anna), ended(anna), ended(ben)
    enlarging = a_job(anna, inputs={"image": REF.model_copy(update={"key": "in use"})})
    await added(store.unit_of_work, doomed, twin, strangers, enlarging)
    async with store.unit_of_work() as uow:
        keys = ("shared with a twin", "shared with a stranger", "in use", "mine alone")
        await uow.artifacts.add([an_artifact(doomed, key, n) for n, key in enumerate(keys)])
        await uow.artifacts.add([an_artifact(twin, "shared with a twin")])
        await uow.artifacts.add([an_artifact(strangers, "shared with a stranger")])
        await uow.commit()
    async with store.unit_of_work() as uow:
        forgotten = await uow.jobs.erase(doomed.id)
        await uow.commit()
    assert {artifact.key for artifact in forgotten} == {"shared with a stranger", "mine alone"}


async def test_artifacts_come_in_order(store: Store) -> None:
    member = await joined(store.unit_of_work)
    job, empty = ended(member), ended(member)
    await added(store.unit_of_work, job, empty)
    pictures = [an_artifact(job, f"k{n}", n) for n in range(3)]
    async with store.unit_of_work() as uow:
        await uow.artifacts.add([])
        await uow.artifacts.add(pictures[::-1])
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        assert await uow.artifacts.of_jobs([job.id, empty.id]) == {
            job.id: tuple(pictures),
            empty.id: (),
        }
        assert await uow.artifacts.of_jobs([]) == {}
        assert await uow.artifacts.get(pictures[1].id) == pictures[1]
        assert await uow.artifacts.get("absent") is None


async def test_recent_costs_and_finish_times_are_of_done_jobs_only(store: Store) -> None:
    member = await joined(store.unit_of_work)
    jobs = [
        ended(member, gpu_ms=4000, count=4, created_at=NOON),
        ended(member, gpu_ms=900, count=1, created_at=NOON + timedelta(hours=1)),
        ended(member, gpu_ms=7, model="other", created_at=NOON + timedelta(hours=2)),
        ended(member, gpu_ms=1, state=JobState.FAILED, created_at=NOON + timedelta(hours=3)),
        ended(member, gpu_ms=1, state=JobState.CANCELLED, created_at=NOON + timedelta(hours=4)),
    ]
    await added(store.unit_of_work, *jobs)
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.recent_gpu_ms_per_item("emoji", "imagine") == [900.0, 1000.0]
        assert await uow.jobs.recent_gpu_ms_per_item("emoji", "imagine", limit=1) == [900.0]
        assert await uow.jobs.recent_gpu_ms_per_item("unknown", "imagine") == []
        done = [jobs[n].finished_at for n in (2, 1, 0)]
        assert await uow.jobs.recent_finish_times() == done
        assert await uow.jobs.recent_finish_times(limit=1) == done[:1]


@pytest.mark.parametrize("field", ["state", "kind", "count", "reserved_gpu_ms"])
async def test_the_database_refuses_rows_that_make_no_sense(sql_url: str, field: str) -> None:
    import sqlalchemy as sa

    from bot.store.database import open_store

    nonsense = {"state": "lost", "kind": "pray", "count": 0, "reserved_gpu_ms": -1}
    store = open_store(sql_url)
    try:
        member = await joined(store.unit_of_work)
        job = replace(a_job(member), **{field: nonsense[field]})  # type: ignore[arg-type]
        with pytest.raises(sa.exc.IntegrityError, match=field):
            await added(store.unit_of_work, job)
    finally:
        await store.close()


async def test_a_cancel_is_written_down_once_and_for_live_jobs_only(store: Store) -> None:
    member = await joined(store.unit_of_work)
    live, over = a_job(member), ended(member)
    await added(store.unit_of_work, live, over)
    async with store.unit_of_work() as uow:
        for minutes in (1, 2):
            for job_id in (live.id, over.id, "absent"):
                await uow.jobs.request_cancel(job_id, NOON + timedelta(minutes=minutes))
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        found = [await uow.jobs.get(job.id) for job in (live, over)]
    assert [job and job.cancel_requested_at for job in found] == [NOON + timedelta(minutes=1), None]


async def test_a_failure_is_kept_in_both_languages_and_erased_in_both(store: Store) -> None:
    job = ended(
        await joined(store.unit_of_work), state=JobState.FAILED, error="No.", error_zh="不。"
    )
    await added(store.unit_of_work, job)
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.get(job.id) == job
    async with store.unit_of_work() as uow:
        await uow.jobs.erase(job.id)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        erased = await uow.jobs.by_origin_key(job.origin_key)
    assert erased is not None
    assert (erased.error, erased.error_zh) == (None, None)


async def test_what_an_account_holds_is_told_by_its_artifacts(store: Store) -> None:
    mine = a_job(await joined(store.unit_of_work))
    theirs = a_job(await joined(store.unit_of_work, origin("ben")))
    await added(store.unit_of_work, mine, theirs)
    async with store.unit_of_work() as uow:
        artifacts = [
            an_artifact(mine, "k1", role="input", position=-1),
            an_artifact(mine, "k2", role="rendition", position=1),
            an_artifact(mine, "k3", role="plot", position=2),
            an_artifact(theirs, "k4"),
        ]
        await uow.artifacts.add(artifacts)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        held = await uow.artifacts.held(mine.account_id, ["k1", "k3", "k4", "k5"])
        assert (await uow.artifacts.of_jobs([mine.id]))[mine.id] == tuple(artifacts[:3])
        assert await uow.artifacts.held(mine.account_id, []) == set()
    assert held == {"k1", "k3"}
