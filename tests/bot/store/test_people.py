"""Accounts, members and settings on every store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from people_and_jobs import NOON, joined, origin

from bot.core.chat import Role
from bot.core.domain import Member
from bot.core.ports import Conflict
from bot.services.transactions import repeated
from bot.store.database import Store


async def test_the_same_person_is_one_account_in_every_community(store: Store) -> None:
    here = await joined(store.unit_of_work, origin("anna", "here"))
    again = await joined(store.unit_of_work, origin("anna", "here"))
    there = await joined(store.unit_of_work, origin("anna", "there"))
    ben = await joined(store.unit_of_work, origin("ben", "here"))
    assert here == again
    assert there.account_id == here.account_id
    assert there.community_id != here.community_id
    assert ben.community_id == here.community_id
    assert ben.account_id != here.account_id


async def test_the_same_ids_on_another_platform_are_other_people(store: Store) -> None:
    one = await joined(store.unit_of_work, origin("7", "9", platform="discord"))
    other = await joined(store.unit_of_work, origin("7", "9", platform="telegram"))
    assert one.account_id != other.account_id
    assert one.community_id != other.community_id


async def test_roles_and_language_are_kept_up_to_date(store: Store) -> None:
    before = await joined(store.unit_of_work, origin())
    async with store.unit_of_work(write=False) as uow:
        assert await uow.accounts.member(before.account_id, before.community_id) == before
    now = origin(role=Role.MODERATOR, platform_roles=("8", "9"), locale="zh-CN")
    after = await joined(store.unit_of_work, now)
    expected = Member(before.account_id, before.community_id, "moderator", ("8", "9"), "zh-CN")
    assert after == expected
    async with store.unit_of_work(write=False) as uow:
        assert await uow.accounts.member(before.account_id, before.community_id) == expected
        assert await uow.accounts.member(before.account_id, "elsewhere") is None


async def test_looking_somebody_up_makes_nothing(store: Store) -> None:
    async with store.unit_of_work(write=False) as uow:
        assert await uow.accounts.find(origin()) == Member("", "", "member", (), "en")
    anna = await joined(store.unit_of_work, origin("anna", "here"))
    async with store.unit_of_work(write=False) as uow:
        assert await uow.accounts.find(origin("anna", "here")) == anna
        stranger = await uow.accounts.find(origin("ben", "here"))
        visitor = await uow.accounts.find(origin("anna", "there"))
    assert stranger == replace(anna, account_id="")
    assert visitor == replace(anna, community_id="")


async def test_names_with_characters_that_no_database_keeps(store: Store) -> None:
    odd = origin("a\0b", "g\ud800", display_name="An\0na", community_name="Ho\udfffme")
    first = await joined(store.unit_of_work, odd)
    assert await joined(store.unit_of_work, odd) == first
    async with store.unit_of_work(write=False) as uow:
        assert (await uow.accounts.find(odd)).account_id == first.account_id


async def test_a_person_seen_twenty_times_at_once_is_one_person(store: Store) -> None:
    members = await asyncio.gather(
        *(repeated(lambda: joined(store.unit_of_work)) for _ in range(20))
    )
    assert len(set(members)) == 1


async def test_a_member_can_be_held_with_their_community(store: Store) -> None:
    member = await joined(store.unit_of_work)
    async with store.unit_of_work() as uow:
        await uow.accounts.resolve(origin(), now=NOON)
        await uow.accounts.lock_community(member.community_id)
        await uow.commit()


async def test_settings_are_read_together_and_cleared_with_none(store: Store) -> None:
    values = {"limits": {"gpu_ms": None, "roles": {"9": {"weight": 2.5}}}, "prompt_rules": ["心"]}
    async with store.unit_of_work() as uow:
        for key, value in values.items():
            await uow.settings.put("guild", key, value, by="anna")
        await uow.settings.put("", "limits", {"jobs": 3}, by="host")
        await uow.settings.put("", "limits", {"jobs": 4}, by="host")
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        found = await uow.settings.get_many(["", "guild"], ["limits", "prompt_rules", "absent"])
        assert found == {
            ("", "limits"): {"jobs": 4},
            ("guild", "limits"): values["limits"],
            ("guild", "prompt_rules"): ["心"],
        }
    async with store.unit_of_work() as uow:
        await uow.settings.put("guild", "limits", None, by="anna")
        await uow.commit()
    async with store.unit_of_work(write=False) as uow:
        assert await uow.settings.get("guild", "limits") is None


async def test_a_lost_race_for_an_identity_is_a_conflict(migrated_postgres_url: str) -> None:
    """Two gateways meet the same stranger: the second waits for the first, then starts over."""
    from bot.store.database import open_store

    one, other = open_store(migrated_postgres_url), open_store(migrated_postgres_url)
    try:
        async with one.unit_of_work() as first:
            await first.accounts.resolve(origin(), now=NOON)
            second = asyncio.create_task(joined(other.unit_of_work))
            await _until_blocked(one)
            await first.commit()
        with pytest.raises(Conflict):
            await second
        assert (await joined(other.unit_of_work)).account_id
    finally:
        await one.close()
        await other.close()


async def _until_blocked(store: Store) -> None:
    """Wait until the server says that some transaction waits for another."""
    import sqlalchemy as sa

    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with store.engine.connect() as connection:  # type: ignore[attr-defined]
        while not (await connection.execute(waiting)).scalar():
            await asyncio.sleep(0)
