"""Forgetting in time: by a community's days, and when a community was left long ago."""

from __future__ import annotations

from datetime import timedelta

from desk import Desk
from people_and_jobs import origin

from bot.core.chat import Origin
from bot.core.domain import Job
from bot.metrics import Metrics
from bot.services.communities import KEPT_FOR
from bot.services.retention import Retention

DAY = 86_400
ELSEWHERE = origin("ben", "elsewhere")


def retention(desk: Desk) -> Retention:
    return Retention(desk.store.unit_of_work, desk.clock, desk.house.eraser, Metrics())


async def made(desk: Desk, who: Origin, data: bytes) -> str:
    job_id = (await desk.ask(who)).job_id
    await desk.finish(job_id, 1000, data)
    return job_id


async def left(desk: Desk) -> list[Job]:
    """All jobs with content."""
    async with desk.store.unit_of_work(write=False) as uow:
        ids = await uow.jobs.to_erase(
            desk.now + timedelta(days=9000), community_ids=None, favorites=True, limit=99
        )
        return await uow.jobs.get_many(ids)


async def test_nothing_is_forgotten_unless_somebody_decided(desk: Desk) -> None:
    await made(desk, origin(), b"old")
    desk.later(5000 * DAY)
    assert await retention(desk).sweep() == 0
    assert len(await left(desk)) == 1


async def test_what_is_older_than_a_community_keeps_is_erased(desk: Desk) -> None:
    await desk.set("retention_days", 30, origin())
    old = [await made(desk, origin(), b"old %d" % n) for n in range(25)]
    kept = await made(desk, origin(), b"kept")
    other = await made(desk, ELSEWHERE, b"other")
    await desk.history.set_favorite(origin(), kept, True)
    desk.later(29 * DAY)
    young = await made(desk, origin(), b"young")
    assert await retention(desk).sweep() == 0
    desk.later(2 * DAY)
    live = (await desk.ask()).job_id
    assert await retention(desk).sweep() == len(old)
    assert {job.id for job in await left(desk)} == {kept, other, young}
    assert (await desk.job(live)).params
    assert len(desk.shelf.claims) == 3
    assert len(await desk.entries(old[0])) == 2  # the ledger stays
    assert await retention(desk).sweep() == 0


async def test_the_studios_days_hold_where_a_community_has_none(desk: Desk) -> None:
    await desk.set("retention_days", 10)
    await desk.set("retention_days", 0, ELSEWHERE)  # for ever
    await made(desk, origin(), b"a")
    forever = await made(desk, ELSEWHERE, b"b")
    await made(desk, origin("cleo", "cleo", personal=True), b"c")
    desk.later(11 * DAY)
    assert await retention(desk).sweep() == 2
    assert [job.id for job in await left(desk)] == [forever]


async def test_a_community_that_was_left_is_forgotten_after_a_while(desk: Desk) -> None:
    mine = await made(desk, origin(), b"a")
    await desk.history.set_favorite(origin(), mine, True)
    other = await made(desk, ELSEWHERE, b"b")
    await desk.set("style", "ink", origin())
    await desk.house.communities.left("discord", "guild", "never met")
    desk.later(KEPT_FOR.total_seconds() - 60)
    await desk.house.communities.left("discord", "guild")  # told twice: the first counts
    assert await retention(desk).sweep() == 0
    desk.later(120)
    assert await retention(desk).sweep() == 1
    assert [job.id for job in await left(desk)] == [other]
    async with desk.store.unit_of_work(write=False) as uow:
        assert await uow.settings.of_key("style") == {}
        assert await uow.communities.left_before(desk.now, limit=9) == []
    await made(desk, origin(), b"again")  # whoever comes back begins anew
    assert await retention(desk).sweep() == 0


async def test_coming_back_stops_the_clock(desk: Desk) -> None:
    await made(desk, origin(), b"a")
    await desk.house.communities.left("discord", "guild")
    desk.later(20 * DAY)
    await desk.house.communities.joined("discord", "guild")
    desk.later(20 * DAY)
    assert await retention(desk).sweep() == 0
    assert len(await left(desk)) == 1


async def test_what_nobody_listened_to_is_made_up_for(desk: Desk) -> None:
    await made(desk, origin(), b"a")
    await made(desk, ELSEWHERE, b"b")
    await made(desk, origin("cleo", "cleo", personal=True), b"c")
    await desk.house.communities.present("discord", ["elsewhere"])
    desk.later(31 * DAY)
    assert await retention(desk).sweep() == 1
    assert len(await left(desk)) == 2
    await desk.house.communities.present("discord", [])
    await desk.house.communities.present("discord", ["elsewhere"])
    desk.later(31 * DAY)
    assert await retention(desk).sweep() == 0
