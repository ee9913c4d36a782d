"""Reports: opened once, posted until that is recorded, decided by moderators from any copy."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk
from people_and_jobs import origin

from bot.core.chat import Reply, Role
from bot.core.domain import Delivery, DeliveryState
from bot.core.house import CaseState
from bot.core.signing import Signer
from bot.errors import DeliveryGone, DeliveryRetry, NotAllowed, NotFound
from bot.metrics import Metrics
from bot.services import case_answers
from bot.services.case_posting import CasePosting
from bot.services.cases import MAX_OPEN_BY_ONE

ANNA, BEN = origin("anna"), origin("ben")
MODERATOR = origin("mo", role=Role.MODERATOR)
STRANGER = origin("max", "elsewhere", role=Role.MODERATOR)
HOST = origin("host", "host", platform="web", personal=True, role=Role.OWNER)
CHANNEL = {"id": "9", "name": "moderators"}


class Channel:
    """A platform that posts cases and takes answers back, with trouble where it is told to."""

    name = "discord"

    def __init__(self) -> None:
        self.posts: dict[str, tuple[str, Reply]] = {}
        self.withdrawn: list[str] = []
        self.trouble: list[Exception] = []

    async def notify(self, channel_external_id: str, reply: Reply, *, nonce: str) -> str:
        assert len(nonce) <= 25
        self.posts[nonce] = (channel_external_id, reply)
        if self.trouble:
            raise self.trouble.pop()
        return f"message-{len(self.posts)}"

    async def withdraw(self, delivery: Delivery) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.withdrawn.append(str(delivery.message_id))


@pytest.fixture
def channel(desk: Desk) -> Channel:
    found = Channel()
    desk.platforms["discord"] = found
    return found


def posting(desk: Desk) -> CasePosting:
    return CasePosting(
        desk.store.unit_of_work,
        desk.clock,
        desk.house.cases,
        desk.platforms,
        Signer(b"k" * 32),
        Metrics(),
    )


async def made(desk: Desk, **draft: Any) -> str:
    """An answer of Anna's that was delivered."""
    job_id = (await desk.ask(ANNA, **draft)).job_id
    await desk.finish(job_id, 1000, b"picture")
    async with desk.store.unit_of_work() as uow:
        await uow.deliveries.move(
            job_id,
            DeliveryState.DELIVERED,
            only_from=[DeliveryState.PENDING],
            values={"message_id": "m1"},
        )
        await uow.commit()
    return job_id


async def reported(desk: Desk) -> tuple[str, str]:
    """An answer, and the case on it."""
    job_id = await made(desk)
    assert await desk.house.cases.report(BEN, job_id, "it is rude")
    [view] = await desk.house.cases.open(MODERATOR)
    return job_id, view.case.id


# --- reporting ---


async def test_a_report_is_a_case_for_the_moderators_and_the_host(desk: Desk) -> None:
    job_id, _ = await reported(desk)
    assert not await desk.house.cases.report(BEN, job_id, "again")
    for who in (MODERATOR, HOST):
        [view] = await desk.house.cases.open(who)
        assert view.subject is not None
        assert view.reporter is not None
        assert (view.subject.display_name, view.reporter.display_name) == ("Anna", "Ben")
        assert (view.case.reason, view.case.state, view.block) == (
            "it is rude",
            CaseState.OPEN,
            None,
        )
    assert await desk.house.cases.open(STRANGER) == []
    with pytest.raises(NotAllowed):
        await desk.house.cases.open(BEN)


async def test_what_cannot_be_reported(desk: Desk) -> None:
    mine, hidden = await made(desk), await made(desk, private=True)
    cases = desk.house.cases
    with pytest.raises(NotAllowed, match="your own"):
        await cases.report(ANNA, mine, "why not")
    for who, job_id in ((BEN, hidden), (STRANGER, mine), (BEN, "0" * 32)):
        with pytest.raises(NotFound):
            await cases.report(who, job_id, "it is rude")
    assert await cases.open(HOST) == []


async def test_nobody_floods_the_moderators(desk: Desk) -> None:
    for _ in range(MAX_OPEN_BY_ONE):
        assert await desk.house.cases.report(BEN, await made(desk), "it is rude")
    with pytest.raises(NotAllowed, match="10 open reports"):
        await desk.house.cases.report(BEN, await made(desk), "it is rude")
    assert await desk.house.cases.report(origin("cleo"), await made(desk), "it is rude")


# --- posting ---


async def test_a_case_is_posted_once_in_the_channels_language(desk: Desk, channel: Channel) -> None:
    await desk.set("moderators_channel", CHANNEL, ANNA)
    await desk.set("language", "zh", ANNA)
    loop = posting(desk)
    _, case_id = await reported(desk)
    assert await loop.post_due() == 1
    assert await loop.post_due() == 0
    [(where, reply)] = channel.posts.values()
    assert where == "9"
    assert "举报" in reply.title
    assert any("it is rude" in field.value for field in reply.fields)
    actions = [button.data.split(":")[:2] for row in reply.buttons for button in row]
    assert actions[1:] == [[one, case_id] for one in ("mdelete", "mblock", "mdismiss")]
    assert (await desk.house.cases.view(case_id)).case.message_id == "message-1"


async def test_trouble_puts_a_case_off_and_the_nonce_stays(desk: Desk, channel: Channel) -> None:
    await desk.set("moderators_channel", CHANNEL, ANNA)
    await reported(desk)
    loop = posting(desk)
    channel.trouble = [
        DeliveryGone("no access"),
        RuntimeError("a bug"),
        DeliveryRetry("429", after_s=7),
    ]
    waits = []
    for _ in range(3):
        assert await loop.post_due() == 0
        [view] = await desk.house.cases.open(MODERATOR)
        waits.append((view.case.next_attempt_at - desk.now).total_seconds())
        desk.now = view.case.next_attempt_at
    assert waits[0] == 7
    assert 2 <= waits[1] <= 6
    assert waits[2] == 3600
    assert await loop.post_due() == 1
    assert len(channel.posts) == 1  # the same nonce every time


async def test_without_a_channel_a_case_waits_until_there_is_one(
    desk: Desk, channel: Channel
) -> None:
    await reported(desk)
    loop = posting(desk)
    assert await loop.post_due() == 0
    assert channel.posts == {}
    await desk.set("moderators_channel", CHANNEL, ANNA)
    desk.later(600)
    assert await loop.post_due() == 1


# --- deciding ---


async def test_deleting_takes_the_answer_back_erases_it_and_closes_every_case_on_it(
    desk: Desk, channel: Channel
) -> None:
    job_id, case_id = await reported(desk)
    assert await desk.house.cases.report(origin("cleo"), job_id, "me too")
    view = await desk.house.cases.delete(MODERATOR, case_id)
    assert (view.case.state, view.case.resolution, view.job) == (CaseState.UPHELD, "deleted", None)
    assert channel.withdrawn == ["m1"]
    assert desk.shelf.claims == set()
    assert await desk.house.cases.open(MODERATOR) == []
    again = await desk.house.cases.delete(MODERATOR, case_id)  # a second press does no harm
    assert again.case == view.case
    assert channel.withdrawn == ["m1"]
    async with desk.store.unit_of_work(write=False) as uow:
        entries = await uow.audit.recent(view.community.id, limit=9)
    assert [entry.action for entry in entries] == ["case_deleted"]


async def test_what_cannot_be_taken_back_now_is_not_erased(desk: Desk, channel: Channel) -> None:
    job_id, case_id = await reported(desk)
    channel.trouble = [DeliveryRetry("down")]
    with pytest.raises(NotAllowed, match="press again"):
        await desk.house.cases.delete(MODERATOR, case_id)
    assert (await desk.job(job_id)).params
    assert (await desk.house.cases.delete(MODERATOR, case_id)).job is None


async def test_blocking_and_deleting_go_together(desk: Desk) -> None:
    _, case_id = await reported(desk)
    view = await desk.house.cases.block(MODERATOR, case_id)
    assert view.block is not None
    assert view.block.reason == "it is rude"
    with pytest.raises(NotAllowed):
        await desk.ask(ANNA)
    signer = Signer(b"k" * 32)
    shown = case_answers.reply(signer, view, desk.now, "en")
    left = [button.data.split(":")[0] for row in shown.buttons for button in row]
    assert left == ["show", "mdelete"]
    assert ("Decided", "its maker is blocked") in [(one.label, one.value) for one in shown.fields]
    over = await desk.house.cases.delete(MODERATOR, case_id)
    assert case_answers.buttons(signer, over, "en") == ()


async def test_dismissing_changes_nothing_but_the_case(desk: Desk) -> None:
    job_id, case_id = await reported(desk)
    view = await desk.house.cases.dismiss(MODERATOR, case_id)
    assert view.case.state is CaseState.DISMISSED
    assert (await desk.job(job_id)).params
    assert await desk.house.cases.open(MODERATOR) == []
    late = await desk.house.cases.dismiss(HOST, case_id)
    assert late.case == view.case


async def test_only_the_communitys_moderators_decide(desk: Desk) -> None:
    job_id, case_id = await reported(desk)
    cases = desk.house.cases
    alone = origin("mo", "mo", personal=True, role=Role.MODERATOR)
    for who in (BEN, STRANGER, alone):
        for decide in (cases.delete, cases.block, cases.dismiss):
            with pytest.raises(NotFound):
                await decide(who, case_id)
    assert (await desk.job(job_id)).params
    with pytest.raises(NotFound):
        await cases.dismiss(MODERATOR, "0" * 32)
    assert (await cases.block(HOST, case_id)).block is not None
