"""Admission: one transaction or nothing, once per event, inside every limit, in the fair order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from desk import FIRST_GUESS_MS, PLENTY, Desk, a_draft
from people_and_jobs import origin

from bot.core.domain import DeliveryState, JobState, Limits, PostingKind
from bot.errors import BadOption, PromptRefused, QuotaExceeded, TooManyJobs, UserError
from bot.services.jobs import JobDraft
from bot.store.database import Store, open_store
from generators.contract import MAX_SEED
from generators.engine.port import ArtifactRef


async def test_a_job_is_queued_with_its_delivery_and_its_reservation(desk: Desk) -> None:
    ref = ArtifactRef(key="ab" * 32, mime="image/png", size_bytes=9)
    draft = a_draft(seed=7, params={"prompt": "心", "width": 64, "height": 64}, parent_job_id="p")
    invocation = desk.invocation(origin(locale="zh-CN"))
    ticket = await desk.jobs.admit(invocation, replace(draft, inputs={"image": ref}, private=True))
    assert (ticket.position, ticket.eta_s, desk.woken) == (1, None, 1)
    job = await desk.job(ticket.job_id)
    assert (job.state, job.model, job.generator, job.kind) == (
        *(JobState.QUEUED, "emoji", "diffusion", "generate"),
    )
    assert job.params["prompt"] == "心"
    assert (job.params["width"], job.params["num_inference_steps"]) == (64, None)
    assert (job.seed, job.count, job.parent_job_id) == (7, 4, "p")
    assert (job.locale, job.private, dict(job.inputs)) == ("zh-CN", True, {"image": ref})
    assert job.created_at == desk.now
    delivery = await desk.delivery(job.id)
    assert (delivery.state, delivery.private) == (DeliveryState.WAITING, True)
    assert dict(delivery.address) == {"channel": "5"}
    [entry] = await desk.entries(job.id)
    assert (entry.kind, entry.gpu_ms, entry.jobs) == (PostingKind.RESERVE, 4 * FIRST_GUESS_MS, 1)
    assert entry.counted_at == job.created_at


async def test_the_same_event_has_one_effect_and_one_ticket(desk: Desk) -> None:
    first = await desk.ask(event="e1")
    again = await desk.ask(event="e1")
    assert again == first
    assert len(await desk.line()) == 1
    await desk.finish(first.job_id)
    late = await desk.ask(event="e1")
    assert (late.job_id, late.position, late.eta_s) == (first.job_id, 0, None)
    assert len(await desk.entries(first.job_id)) == 2


async def test_an_event_id_says_nothing_to_somebody_else(desk: Desk) -> None:
    mine = await desk.ask(origin("anna"), event="e1")
    theirs = await desk.ask(origin("ben"), event="e1")
    assert mine.job_id != theirs.job_id


async def test_an_event_that_arrives_fifty_times_at_once_makes_one_job(desk: Desk) -> None:
    tickets = await asyncio.gather(*(desk.ask(event="e1") for _ in range(50)))
    assert len({ticket.job_id for ticket in tickets}) == 1
    assert len(await desk.line()) == 1


async def test_seeds_are_drawn_where_none_is_given(desk: Desk) -> None:
    seeds = {(await desk.job((await desk.ask()).job_id)).seed for _ in range(5)}
    assert len(seeds) > 1
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": "emojy"}, "Did you mean emoji?"),
        ({"modality": "video"}, "no model for that"),
        ({"params": {}}, "needs prompt"),
        ({"params": {"prompt": "x" * 1001}}, "at most 1,000"),
        ({"params": {"prompt": "a\0b"}}, "U+0000"),
        ({"params": {"prompt": "\ud83d"}}, "U+D83D"),
        ({"params": {"prompt": "x", "width": -64}}, "between 32 and 2048"),
        ({"params": {"prompt": "x", "width": "wide"}}, "whole number"),
        ({"params": {"prompt": "x", "guidance": 3}}, "does not take guidance"),
        ({"params": {"prompt": "x", "width": 512, "height": 512}}, "at most 65,536 pixels"),
        ({"count": 0}, "between 1 and 4"),
        ({"count": 5}, "between 1 and 4"),
        ({"seed": -1}, "between 0 and"),
        ({"seed": MAX_SEED + 1}, "between 0 and"),
        ({"model": "lanczos"}, "does not take prompt"),
    ],
)
async def test_what_does_not_fit_is_said_and_nothing_is_written(
    wrong: dict[str, object], said: str
) -> None:
    store = open_store("memory:")
    desk = Desk(store)
    with pytest.raises(BadOption) as caught:
        await desk.ask(**wrong)
    assert said in caught.value.texts["en"]
    assert caught.value.texts["zh"] != caught.value.texts["en"]
    assert desk.woken == 0
    async with store.unit_of_work(write=False) as uow:
        assert await uow.jobs.queued_count() == 0
        assert (await uow.accounts.find(origin())).account_id == ""


async def _refused(desk: Desk, error: type[UserError], **ask: object) -> UserError:
    before = len(await desk.line())
    with pytest.raises(error) as caught:
        await desk.ask(**ask)  # type: ignore[arg-type]
    assert len(await desk.line()) == before
    assert all(caught.value.texts[language] for language in ("en", "zh"))
    return caught.value


async def test_only_so_many_jobs_may_wait(desk: Desk) -> None:
    desk.use(replace(PLENTY, waiting_jobs=2))
    first = await desk.ask()
    await desk.ask()
    said = await _refused(desk, TooManyJobs)
    assert "2 may wait" in said.texts["en"]
    await desk.ask(origin("ben"))
    await desk.ask(origin(place="elsewhere"))
    await desk.send(first.job_id)  # what runs does not wait
    await desk.ask()


async def test_the_gpu_time_of_a_window_is_kept(desk: Desk) -> None:
    desk.use(Limits(gpu_ms=10_000, window_s=3600))
    first = await desk.ask()
    desk.later(600)
    said = await _refused(desk, QuotaExceeded)
    for part in ("6 GPU-seconds", "of 10 GPU-seconds", "in the last 1 h", "frees in 50 min"):
        assert part in said.texts["en"]
    assert "50 分" in said.texts["zh"]
    await desk.finish(first.job_id, gpu_ms=2000)
    await desk.ask()
    desk.later(3000)  # the first job leaves the window, the second stays
    view = await desk.quota.view(origin())
    assert view.usage.gpu_ms == 2000  # estimated by what the first one really cost
    assert view.usage.jobs == 1


async def test_what_never_fits_is_told_so(desk: Desk) -> None:
    desk.use(Limits(gpu_ms=5000))
    said = await _refused(desk, QuotaExceeded)
    assert "Ask for less" in said.texts["en"]
    await desk.ask(count=1)


async def test_jobs_can_be_limited_by_number(desk: Desk) -> None:
    desk.use(replace(PLENTY, jobs=2))
    first = await desk.ask()
    await desk.ask()
    said = await _refused(desk, QuotaExceeded)
    assert "2 of 2 jobs" in said.texts["en"]
    await desk.report(first.job_id, "failed")
    await desk.ask()


async def test_a_community_can_be_limited_as_a_whole(desk: Desk) -> None:
    desk.use(replace(PLENTY, community_gpu_ms=10_000))
    await desk.ask(origin("anna"))
    said = await _refused(desk, QuotaExceeded, who=origin("ben"))
    assert "this community has used 6 GPU-seconds of its 10" in said.texts["en"]
    await desk.ask(origin("ben", "elsewhere"))


async def test_moderation_speaks_before_anything_is_charged(desk: Desk) -> None:
    await desk.set("prompt_rules", ["*cat*"])
    await desk.set("prompt_rules", ["heart"], origin(place="strict"))
    said = await _refused(desk, PromptRefused, who=origin(place="strict"))
    assert "“heart”" in said.texts["en"]
    await _refused(desk, PromptRefused, params={"prompt": "two Ｃats"})
    await desk.ask(params={"prompt": "heart", "negative_prompt": "cat"})


async def test_estimates_follow_what_jobs_really_cost(desk: Desk) -> None:
    for gpu_ms in (400, 800, 40_000):
        await desk.finish((await desk.ask()).job_id, gpu_ms=gpu_ms)
    job = await desk.job((await desk.ask(count=2)).job_id)
    assert job.reserved_gpu_ms == 2 * 200


async def test_the_kth_job_of_each_member_stands_beside_the_kth_of_every_other(desk: Desk) -> None:
    for _ in range(4):
        await desk.ask(origin("anna"))
    ben = [await desk.ask(origin("ben")) for _ in range(2)]
    assert [ticket.position for ticket in ben] == [2, 4]
    accounts = [job.account_id for job in await desk.line()]
    anna, other = accounts[0], accounts[1]
    assert accounts == [anna, other, anna, other, anna, anna]


async def test_weight_is_a_share(desk: Desk) -> None:
    await desk.set("limits", {"roles": {"77": {"weight": 2.0}}})
    for _ in range(4):
        await desk.ask(origin("heavy", platform_roles=("77",)))
        await desk.ask(origin("light"))
    first = (await desk.line())[:6]
    heavy = first[0].account_id
    assert [job.account_id for job in first].count(heavy) == 4


async def test_who_comes_new_begins_where_the_line_is_now(desk: Desk) -> None:
    anna = [await desk.ask(origin("anna")) for _ in range(10)]
    for ticket in anna[:6]:
        await desk.send(ticket.job_id)
    ben = await desk.ask(origin("ben"))
    assert ben.position == 1
    assert (await desk.job(ben.job_id)).start_tag == 5.0


async def test_who_asks_for_one_at_a_time_is_not_served_first_for_it(desk: Desk) -> None:
    done = await desk.ask(origin("anna"))
    await desk.send(done.job_id)
    await desk.finish(done.job_id)
    again = await desk.ask(origin("anna"))
    ben = await desk.ask(origin("ben"))
    line = [job.id for job in await desk.line()]
    assert line == [ben.job_id, again.job_id]


async def test_who_cancels_everything_begins_anew(desk: Desk) -> None:
    for _ in range(5):
        await desk.ask(origin("anna"))
    for _ in range(5):
        await desk.jobs.cancel(origin("anna"), None)
    await desk.ask(origin("ben"))
    ticket = await desk.ask(origin("anna"))
    assert (await desk.job(ticket.job_id)).start_tag == 0.0


async def test_fifty_requests_at_once_pass_no_limit(store: Store) -> None:
    desk = Desk(store, Limits(gpu_ms=60_000, waiting_jobs=100))
    ends = await asyncio.gather(*(desk.ask() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(end, QuotaExceeded) for end in ends) == 40
    assert (await desk.quota.view(origin())).usage.gpu_ms == 60_000
    desk.use(replace(PLENTY, waiting_jobs=25))
    ends = await asyncio.gather(*(desk.ask() for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(end, TooManyJobs) for end in ends) == 35
    assert len(await desk.line()) == 25


async def test_two_gateways_pass_no_limit_together(sql_url: str) -> None:
    stores = [open_store(sql_url), open_store(sql_url)]
    limits = Limits(gpu_ms=60_000, community_gpu_ms=90_000)
    desks = [Desk(store, limits) for store in stores]
    people = [origin("anna"), origin("ben")]
    asks = [
        desk.jobs.admit(desk.invocation(who, f"{who.display_name}{n % 25}"), a_draft())
        for desk in desks
        for who in people
        for n in range(30)
    ]
    ends = await asyncio.gather(*asks, return_exceptions=True)
    admitted = {end.job_id for end in ends if not isinstance(end, BaseException)}
    assert {type(end) for end in ends if isinstance(end, BaseException)} == {QuotaExceeded}
    assert len(admitted) == 15  # 90,000 of the community, at 6,000 each
    for who in people:
        assert (await desks[0].quota.view(who)).usage.gpu_ms <= 60_000
    for store in stores:
        await store.close()


def test_a_draft_needs_nothing_but_what_is_wanted() -> None:
    draft = JobDraft("imagine", None, "image", {"prompt": "x"}, None)
    assert (draft.count, dict(draft.inputs), draft.private) == (1, {}, False)
