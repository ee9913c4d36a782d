"""One's past jobs: what is listed where, favourites, and that deleting deletes."""

from __future__ import annotations

import pytest
from desk import Desk
from people_and_jobs import origin

from bot.core.chat import Origin, Role
from bot.core.domain import Delivery, DeliveryState
from bot.errors import DeliveryRetry, NotAllowed, NotFound
from bot.services.withdrawal import Withdrawal
from generators.artifacts import ArtifactMissing

AT_HOME = origin("anna", "anna", personal=True)


async def _made(desk: Desk, who: Origin | None = None, *pictures: bytes, **draft: object) -> str:
    ticket = await desk.ask(who, **draft)  # type: ignore[arg-type]
    assert await desk.finish(ticket.job_id, 1000, *(pictures or (ticket.job_id.encode(),)))
    return ticket.job_id


async def _listed(desk: Desk, who: Origin, **how: object) -> list[str]:
    page = await desk.history.page(who, limit=10, **how)  # type: ignore[arg-type]
    return [job.id for job, _ in page]


async def test_a_page_holds_jobs_and_their_pictures(desk: Desk) -> None:
    first = await _made(desk, None, b"1", b"2")
    second = await _made(desk)
    await desk.ask()  # still waiting
    [(newest, _), (oldest, artifacts)] = await desk.history.page(origin(), limit=10)
    assert (newest.id, oldest.id) == (second, first)
    assert [artifact.position for artifact in artifacts] == [0, 1]
    before = (newest.created_at, newest.id)
    assert await _listed(desk, origin(), before=before) == [first]
    assert await desk.history.page(origin(), limit=0) == []


async def test_what_one_does_elsewhere_is_not_listed_where_others_read(desk: Desk) -> None:
    here = await _made(desk, origin("anna", "here"))
    there = await _made(desk, origin("anna", "there"))
    alone = await _made(desk, AT_HOME)
    assert await _listed(desk, origin("anna", "here")) == [here]
    assert await _listed(desk, AT_HOME) == [alone, there, here]
    assert await _listed(desk, origin("ben", "here")) == []
    assert await _listed(desk, origin("anna", "never seen")) == []


async def test_searching_survives_any_text(desk: Desk) -> None:
    job_id = await _made(desk, params={"prompt": "Rotes Herz"})
    assert await _listed(desk, origin(), search="ROTES") == [job_id]
    for odd in ("\0", "\ud800", "%", "_", "\\", "'" * 300, "x" * 100_000):
        assert await _listed(desk, origin(), search=odd) == []


async def test_favourites_can_be_set_and_toggled_by_their_owner(desk: Desk) -> None:
    job_id = await _made(desk)
    assert await desk.history.set_favorite(origin(), job_id, True)
    assert await desk.history.set_favorite(origin(), job_id, True)
    assert await _listed(desk, origin(), favorites=True) == [job_id]
    assert not await desk.history.set_favorite(origin(), job_id, None)
    assert await desk.history.set_favorite(origin(), job_id, None)
    assert not await desk.history.set_favorite(origin(), job_id, False)
    assert await _listed(desk, origin(), favorites=True) == []
    with pytest.raises(NotAllowed):
        await desk.history.set_favorite(origin("ben"), job_id, True)
    with pytest.raises(NotFound):
        await desk.history.set_favorite(origin("ben", "elsewhere"), job_id, True)


async def test_deleting_removes_rows_and_bytes_and_keeps_the_bill(desk: Desk) -> None:
    job_id = await _made(desk, None, b"my picture")
    [artifact] = await desk.artifacts(job_id)
    used = (await desk.quota.view(origin())).usage
    await desk.history.delete(origin(), job_id)
    assert await _listed(desk, origin()) == []
    assert desk.shelf.claims == set()
    for read in (
        desk.jobs.for_member(origin(), job_id),
        desk.jobs.artifact_for(origin(), artifact.id),
        desk.history.delete(origin(), job_id),
        desk.history.set_favorite(origin(), job_id, True),
    ):
        with pytest.raises(NotFound):
            await read
    assert (await desk.quota.view(origin())).usage == used


async def test_deleting_is_for_the_owner_and_moderators(desk: Desk) -> None:
    mine, other = await _made(desk), await _made(desk)
    with pytest.raises(NotAllowed):
        await desk.history.delete(origin("ben"), mine)
    with pytest.raises(NotFound):
        await desk.history.delete(origin("mod", "elsewhere", role=Role.MODERATOR), mine)
    await desk.history.delete(origin("mod", role=Role.MODERATOR), mine)
    await desk.history.delete(AT_HOME, other)
    assert await _listed(desk, origin()) == []
    async with desk.store.unit_of_work(write=False) as uow:
        moderator = await uow.accounts.find(origin("mod"))
        [entry] = await uow.audit.recent(moderator.community_id, limit=9)
    assert (entry.action, entry.subject) == (
        "delete",
        mine,
    )  # what is one's own is one's own affair
    assert entry.account_id == moderator.account_id


async def test_a_job_on_its_way_is_cancelled_before_it_is_deleted(desk: Desk) -> None:
    job_id = (await desk.ask()).job_id
    with pytest.raises(NotAllowed, match="/cancel"):
        await desk.history.delete(origin(), job_id)
    await desk.jobs.cancel(origin(), job_id)
    await desk.history.delete(origin(), job_id)


class Chat:
    """A platform that takes answers back, or is out of reach."""

    name = "discord"

    def __init__(self) -> None:
        self.withdrawn: list[str | None] = []
        self.down = False

    async def withdraw(self, delivery: Delivery) -> None:
        if self.down:
            raise DeliveryRetry("down")
        self.withdrawn.append(delivery.message_id)


async def _delivered(desk: Desk, job_id: str, message_id: str) -> None:
    async with desk.store.unit_of_work() as uow:
        await uow.deliveries.move(
            job_id,
            DeliveryState.DELIVERED,
            only_from=list(DeliveryState),
            values={"message_id": message_id},
        )
        await uow.commit()


async def test_with_its_content_an_answer_leaves_the_chat(desk: Desk) -> None:
    desk.platforms["discord"] = chat = Chat()
    shown, never_shown = await _made(desk), await _made(desk)
    await _delivered(desk, shown, "m1")
    with pytest.raises(NotAllowed):
        await desk.history.delete(origin("ben"), shown)
    assert chat.withdrawn == []  # who may not delete removes no message either
    await desk.history.delete(AT_HOME, shown)
    await desk.history.delete(origin(), never_shown)
    assert chat.withdrawn == ["m1"]


async def test_an_answer_that_cannot_be_removed_yet_is_not_forgotten(desk: Desk) -> None:
    desk.platforms["discord"] = chat = Chat()
    job_id = await _made(desk)
    await _delivered(desk, job_id, "m1")
    chat.down = True
    with pytest.raises(NotAllowed, match="again in a minute"):
        await desk.history.delete(origin(), job_id)
    assert await _listed(desk, origin()) == [job_id]
    chat.down = False
    await desk.history.delete(origin(), job_id)
    assert (chat.withdrawn, await _listed(desk, origin())) == (["m1"], [])


async def test_a_chat_out_of_reach_keeps_nobody_elsewhere_from_erasing(desk: Desk) -> None:
    desk.platforms["discord"] = chat = Chat()
    chat.down = True
    job_id = await _made(desk)
    await _delivered(desk, job_id, "m1")
    elsewhere = Withdrawal(desk.store.unit_of_work, desk.platforms)
    with pytest.raises(NotAllowed):
        await elsewhere.take_back(job_id, asked_on="discord")
    with pytest.raises(NotAllowed):
        await elsewhere.take_back(job_id)
    await elsewhere.take_back(job_id, asked_on="web")
    assert chat.withdrawn == []


async def test_a_picture_that_two_jobs_show_stays_until_both_are_gone(desk: Desk) -> None:
    one, two = await _made(desk, None, b"same"), await _made(desk, None, b"same")
    [artifact] = await desk.artifacts(two)
    await desk.history.delete(origin(), one)
    assert (await desk.jobs.artifact_for(origin(), artifact.id))[1] == b"same"
    await desk.history.delete(origin(), two)
    assert desk.shelf.claims == set()


async def test_bytes_that_cannot_be_forgotten_do_not_undo_the_deletion(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await _made(desk)

    async def broken(key: str, *, owner: str) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(desk.shelf, "forget", broken)
    await desk.history.delete(origin(), job_id)
    assert await _listed(desk, origin()) == []


async def test_who_may_see_a_job_and_its_pictures(desk: Desk) -> None:
    public = await _made(desk, origin("anna", "here"), b"p")
    private = await _made(desk, origin("anna", "here"), b"q", private=True)
    at_home = await _made(desk, AT_HOME, b"r")

    async def sees(who: Origin, job_id: str) -> bool:
        [artifact] = await desk.artifacts(job_id)
        try:
            job, artifacts = await desk.jobs.for_member(who, job_id)
            found, data = await desk.jobs.artifact_for(who, artifact.id)
        except NotFound:
            with pytest.raises(NotFound):
                await desk.jobs.artifact_for(who, artifact.id)
            return False
        assert (job.id, artifacts, found, data) == (job_id, (artifact,), artifact, data)
        return True

    for owner in (origin("anna", "here"), AT_HOME, origin("anna", "there")):
        assert [await sees(owner, job) for job in (public, private, at_home)] == [True] * 3
    neighbour = origin("never seen", "here")
    assert [await sees(neighbour, job) for job in (public, private, at_home)] == [
        *(True, False, False)
    ]
    for stranger in (
        origin("ben", "there"),
        origin("ben", "ben", personal=True),
        origin("mod", "there", role=Role.OWNER),
        # A personal community that claims another's name is still nobody else's.
        origin("ben", "anna", personal=True, role=Role.OWNER),
    ):
        assert not any([await sees(stranger, job) for job in (public, private, at_home)])
    assert await desk.jobs.owns(origin("anna", "there"), await desk.job(public))
    assert not await desk.jobs.owns(neighbour, await desk.job(public))
    with pytest.raises(NotFound):
        await desk.jobs.artifact_for(AT_HOME, "f" * 32)


async def test_bytes_that_are_gone_are_told_apart_from_what_may_not_be_seen(desk: Desk) -> None:
    job_id = await _made(desk)
    [artifact] = await desk.artifacts(job_id)
    desk.shelf.claims.clear()
    with pytest.raises(ArtifactMissing):
        await desk.jobs.artifact_for(origin(), artifact.id)
