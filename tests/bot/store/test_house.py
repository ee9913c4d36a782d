"""Communities, blocks, grants, cases and the audit log on every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from people_and_jobs import NOON, a_job, added, ended, joined, origin

from bot.core.chat import Role
from bot.core.domain import Job, Member
from bot.core.house import AuditEntry, Block, Case, CaseState, Grant, Measures
from bot.store.database import Store

HOUR = timedelta(hours=1)


def a_case(member: Member, job: Job, **more: object) -> Case:
    values: dict[str, object] = {
        "id": uuid4().hex,
        "community_id": member.community_id,
        "reporter_account_id": member.account_id,
        "subject_account_id": job.account_id,
        "job_id": job.id,
        "reason": "rude",
        "state": CaseState.OPEN,
        "opened_at": NOON,
        "next_attempt_at": NOON,
    }
    return Case(**{**values, **more})  # type: ignore[arg-type]


async def test_a_community_is_left_and_entered_again(store: Store) -> None:
    member = await joined(store.unit_of_work, origin(community_name="Painters"))
    await joined(store.unit_of_work, origin(place="anna", personal=True))
    async with store.unit_of_work() as uow:
        [here] = await uow.communities.here("discord")
        assert (here.id, here.name, here.personal) == (member.community_id, "Painters", False)
        assert await uow.communities.set_left("discord", ["guild", "anna", "nowhere"], NOON) == 1
        assert await uow.communities.set_left("discord", ["guild"], NOON + HOUR) == 0
        await uow.commit()
    async with store.unit_of_work() as uow:
        assert await uow.communities.here("discord") == []
        [gone] = await uow.communities.left_before(NOON + HOUR, limit=5)
        assert (gone.id, gone.left_at) == (member.community_id, NOON)
        assert await uow.communities.left_before(NOON, limit=5) == []
        assert await uow.communities.set_left("discord", ["guild"], None) == 1
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        assert await uow.communities.left_before(NOON + HOUR, limit=5) == []


async def test_what_is_the_communitys_own_is_forgotten(store: Store) -> None:
    here = await joined(store.unit_of_work, origin(community_name="Painters"))
    there = await joined(store.unit_of_work, origin(place="other", community_name="Others"))
    job = a_job(here)
    await added(store.unit_of_work, job)
    case = a_case(here, job)
    async with store.unit_of_work() as uow:
        for member in (here, there):
            at = member.community_id
            await uow.settings.put(at, "style", "ink", by=member.account_id)
            await uow.measures.block(Block(member.account_id, at, "spam", NOON))
            await uow.measures.grant(
                Grant(uuid4().hex, member.account_id, at, 500, NOON, NOON + HOUR)
            )
        assert await uow.cases.add(case)
        await uow.communities.set_left("discord", ["guild"], NOON)
        await uow.commit()
    async with store.unit_of_work() as uow:
        await uow.communities.forget(here.community_id, at=NOON + HOUR)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        forgotten = await uow.communities.get(here.community_id)
        assert forgotten is not None
        assert (forgotten.name, forgotten.left_at) == ("", None)
        assert await uow.settings.of_key("style") == {there.community_id: "ink"}
        now = {"now": NOON}
        mine = await uow.measures.of(here.account_id, here.community_id, **now)
        assert (mine.blocks, mine.granted_gpu_ms) == ((), 0)
        theirs = await uow.measures.of(there.account_id, there.community_id, **now)
        assert (len(theirs.blocks), theirs.granted_gpu_ms) == (1, 500)
        closed = await uow.cases.get(case.id)
        assert closed is not None
        assert (closed.reason, closed.state) == ("", CaseState.DISMISSED)
        assert (closed.resolution, closed.closed_at) == ("forgotten", NOON + HOUR)
        assert await uow.cases.due(NOON + HOUR, limit=5) == []


async def test_blocks_hold_until_they_end_or_are_taken_back(store: Store) -> None:
    member = await joined(store.unit_of_work)
    at, who = member.community_id, member.account_id
    async with store.unit_of_work() as uow:
        assert await uow.measures.of(who, at, now=NOON) == Measures()
        await uow.measures.block(Block(who, at, "first", NOON))
        await uow.measures.block(Block(who, at, "spam", NOON, until=NOON + HOUR))
        await uow.measures.block(Block(who, "", "everywhere", NOON))
        found = (await uow.measures.of(who, at, now=NOON)).blocks
        assert {block.reason for block in found} == {"spam", "everywhere"}
        elsewhere = (await uow.measures.of(who, "another", now=NOON)).blocks
        assert [block.reason for block in elsewhere] == ["everywhere"]
        later = (await uow.measures.of(who, at, now=NOON + HOUR)).blocks
        assert [block.reason for block in later] == ["everywhere"]
        [listed] = await uow.measures.blocked(at, now=NOON, limit=5)
        assert (listed.reason, listed.until) == ("spam", NOON + HOUR)
        assert await uow.measures.unblock(who, "")
        assert not await uow.measures.unblock(who, "")
        assert (await uow.measures.of(who, at, now=NOON + HOUR)).blocks == ()


async def test_grants_add_up_once_each_until_they_expire(store: Store) -> None:
    member = await joined(store.unit_of_work)
    other = await joined(store.unit_of_work, origin("ben"))
    at = member.community_id
    grants = [
        Grant("a", member.account_id, at, 300, NOON, NOON + HOUR),
        Grant("b", member.account_id, at, 200, NOON, NOON + 2 * HOUR),
        Grant("c", other.account_id, at, 9_000_000_000, NOON, NOON + HOUR),
    ]
    async with store.unit_of_work() as uow:
        assert [await uow.measures.grant(grant) for grant in grants] == [True] * 3
        assert not await uow.measures.grant(replace(grants[0], gpu_ms=10_000))
        for hours, left in ((0, 500), (1, 200), (2, 0)):
            now = NOON + hours * HOUR
            assert (await uow.measures.of(member.account_id, at, now=now)).granted_gpu_ms == left
        assert (await uow.measures.of(other.account_id, at, now=NOON)).granted_gpu_ms == 9 * 10**9


async def test_a_case_is_opened_once_posted_and_closed_once(store: Store) -> None:
    anna, ben = [await joined(store.unit_of_work, origin(name)) for name in ("anna", "ben")]
    job = a_job(ben)
    await added(store.unit_of_work, job)
    case = a_case(anna, job)
    async with store.unit_of_work() as uow:
        assert await uow.cases.add(case)
        assert not await uow.cases.add(replace(case, id=uuid4().hex, reason="again"))
        assert await uow.cases.open_by(anna.account_id) == 1
        await uow.commit()
    async with store.unit_of_work() as uow:
        assert await uow.cases.get(case.id) == case
        assert [one.id for one in await uow.cases.open_in(anna.community_id, limit=5)] == [case.id]
        assert [one.id for one in await uow.cases.open_in(None, limit=5)] == [case.id]
        assert await uow.cases.open_in("elsewhere", limit=5) == []
        assert await uow.cases.due(NOON - HOUR, limit=5) == []
        await uow.cases.put_off(case.id, until=NOON + HOUR, attempts=1)
        assert await uow.cases.due(NOON, limit=5) == []
        [due] = await uow.cases.due(NOON + HOUR, limit=5)
        assert due.attempts == 1
        await uow.cases.posted(case.id, at=NOON + HOUR, message_id="9")
        assert await uow.cases.due(NOON + HOUR, limit=5) == []
        upheld = {"resolution": "deleted", "at": NOON + HOUR}
        assert await uow.cases.close(case.id, CaseState.UPHELD, **upheld)
        assert not await uow.cases.close(case.id, CaseState.DISMISSED, **upheld)
        closed = await uow.cases.get(case.id)
        assert closed is not None
        assert (closed.state, closed.resolution, closed.message_id) == (
            *(CaseState.UPHELD, "deleted", "9"),
        )
        assert await uow.cases.open_in(None, limit=5) == []
        assert await uow.cases.open_by(anna.account_id) == 0


async def test_the_audit_log_holds_settings_and_decisions(store: Store) -> None:
    member = await joined(store.unit_of_work)
    at = member.community_id
    async with store.unit_of_work() as uow:
        await uow.settings.put(at, "style", "ink", by="anna")
        entry = AuditEntry(
            NOON + timedelta(days=9000), "anna", at, "block", "ben", {"reason": "spam"}
        )
        await uow.audit.write(entry)
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        latest, first = await uow.audit.recent(at, limit=5)
        assert latest == entry
        assert (first.action, first.subject, first.account_id) == ("setting", "style", "anna")
        assert first.details == {"before": None, "after": "ink"}
        assert await uow.audit.recent("elsewhere", limit=5) == []


async def test_people_are_known_by_what_their_platform_calls_them(store: Store) -> None:
    anna = await joined(store.unit_of_work)
    async with store.unit_of_work(write=False) as uow:
        found = await uow.accounts.identities("discord", [anna.account_id, "nobody"])
        assert found[anna.account_id].display_name == "Anna"
        assert len(found) == 1
        assert await uow.accounts.identities("telegram", [anna.account_id]) == {}
        known = await uow.accounts.by_identity("discord", "anna")
        assert known == found[anna.account_id]
        assert await uow.accounts.by_identity("discord", "nobody") is None


async def test_what_may_be_erased_is_old_ended_and_not_kept(store: Store) -> None:
    here = await joined(store.unit_of_work, origin(role=Role.MEMBER))
    there = await joined(store.unit_of_work, origin(place="other"))
    old = NOON - timedelta(days=30)
    jobs = {
        "old": ended(here, created_at=old),
        "kept": ended(here, created_at=old + HOUR, favorite=True),
        "other": ended(there, created_at=old + 2 * HOUR),
        "erased": ended(here, created_at=old),
        "young": ended(here, created_at=NOON),
        "live": a_job(here, created_at=old),
    }
    await added(store.unit_of_work, *jobs.values())
    names = {job.id: name for name, job in jobs.items()}
    async with store.unit_of_work() as uow:
        await uow.jobs.erase(jobs["erased"].id)
        await uow.commit()

    async def found(**which: object) -> list[str]:
        asked: dict[str, object] = {"community_ids": None, "favorites": False, "limit": 9}
        async with store.unit_of_work(write=False) as uow:
            ids = await uow.jobs.to_erase(NOON, **asked | which)  # type: ignore[arg-type]
        return [names[job_id] for job_id in ids]

    assert await found() == ["old", "other"]
    assert await found(favorites=True) == ["old", "kept", "other"]
    assert await found(limit=1) == ["old"]
    assert await found(community_ids=[there.community_id]) == ["other"]
    assert await found(community_ids=[]) == []
    assert await found(excluding=[there.community_id]) == ["old"]


async def test_a_reader_changes_nothing(store: Store) -> None:
    async with store.unit_of_work(write=False) as uow:
        with pytest.raises(RuntimeError, match="may not change"):
            await uow.measures.block(Block("a", "b", "", NOON))
        with pytest.raises(RuntimeError, match="may not change"):
            await uow.cases.close("x", CaseState.UPHELD, resolution="", at=NOON)
