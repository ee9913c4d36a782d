"""Answers that are deleted, by their owner and by moderators after a report, on the real client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from discord_server import Channel, Member, Message

from bot.core.domain import DeliveryState
from bot.metrics import Metrics
from bot.platforms.discord.platform import DiscordPlatform
from bot.services.case_posting import CasePosting

MANAGE_GUILD = 1 << 5


@pytest.fixture
async def platform(studio: Any, connected: Any) -> AsyncIterator[DiscordPlatform]:
    async with connected(studio, studio.router.handle) as platform:
        studio.platforms["discord"] = platform
        yield platform


async def delivered(
    studio: Any,
    platform: DiscordPlatform,
    played_discord: Any,
    anna: Member,
    channel: Channel,
    **more: Any,
) -> Message:
    """Anna's picture, as the outbox delivers it."""
    options = {"prompt": "red heart", "count": 1, **more}
    asked = await played_discord.slash(anna, channel, "imagine", options=options)
    await asked.acknowledged()
    (job,) = studio.jobs
    await studio.finish(job.id)
    async with studio.store.unit_of_work() as uow:
        delivery = await uow.deliveries.get(job.id)
        reply = await studio.present(job.id, by=studio.in_guild(anna.user.id))
        message_id = await platform.deliver(delivery, reply)
        await uow.deliveries.move(
            job.id,
            DeliveryState.DELIVERED,
            only_from=list(DeliveryState),
            values={"message_id": message_id},
        )
        await uow.commit()
    message: Message = await asked.answer(lambda m: m.uploads)
    return message


def posting(studio: Any) -> CasePosting:
    """What brings reports to the moderators' channel."""
    return CasePosting(
        studio.store.unit_of_work,
        studio.clock,
        studio.services.house.cases,
        studio.platforms,
        studio.services.signer,
        Metrics(),
    )


async def test_what_moderators_delete_is_gone_from_the_channel_too(
    studio: Any, platform: DiscordPlatform, played_discord: Any
) -> None:
    studio.now = studio.clock()
    guild = next(iter(played_discord.world.guilds.values()))
    channel = played_discord.channel(guild)
    anna, ben = played_discord.member(guild, "anna"), played_discord.member(guild, "ben")
    carla = played_discord.member(guild, "carla", permissions=MANAGE_GUILD)
    message = await delivered(studio, platform, played_discord, anna, channel)

    menu = await played_discord.menu(message, "Report", ben)
    await menu.modal()
    report = await played_discord.submit(menu, {"reason": "not a heart"})
    assert (await report.answer()).only_for == ben.user

    cases = await played_discord.slash(carla, channel, "cases")
    listed = await cases.answer(lambda m: "not a heart" in m.text)
    await played_discord.press(listed, "🗑️ Delete", carla)

    await played_discord.until(lambda: message.deleted, what="the message to be gone")
    await played_discord.until(lambda: "the answer was deleted" in listed.text)
    assert studio.jobs[0].params == {}


async def test_a_report_reaches_the_moderators_channel_where_its_buttons_decide(
    studio: Any, platform: DiscordPlatform, played_discord: Any
) -> None:
    studio.now = studio.clock()
    guild = next(iter(played_discord.world.guilds.values()))
    channel = played_discord.channel(guild)
    desk = played_discord.channel(guild, "moderators")
    anna, ben = played_discord.member(guild, "anna"), played_discord.member(guild, "ben")
    carla = played_discord.member(guild, "carla", permissions=MANAGE_GUILD)
    message = await delivered(studio, platform, played_discord, anna, channel)
    await (await played_discord.slash(carla, channel, "settings", moderators_channel=desk)).answer(
        lambda m: "moderators" in m.text
    )
    menu = await played_discord.menu(message, "Report", ben)
    await menu.modal()
    await (await played_discord.submit(menu, {"reason": "not a heart"})).answer()

    assert await posting(studio).post_due() == 1
    (case,) = played_discord.messages(desk)
    assert "not a heart" in case.text
    refused = await played_discord.press(case, "🚫 Block", ben)
    assert (await refused.answer()).only_for == ben.user
    await played_discord.press(case, "🚫 Block", carla)
    await played_discord.until(lambda: "its maker is blocked" in case.text)
    await played_discord.press(case, "🗑️ Delete", carla)
    await played_discord.until(lambda: "the answer was deleted" in case.text)

    assert message.deleted
    assert case.buttons == []
    asked = await played_discord.slash(anna, channel, "imagine", prompt="red heart")
    assert "blocked" in (await asked.answer()).text
    assert await posting(studio).post_due() == 0


async def test_what_its_owner_deletes_elsewhere_is_gone_from_the_channel_too(
    studio: Any, platform: DiscordPlatform, played_discord: Any
) -> None:
    studio.now = studio.clock()
    guild = next(iter(played_discord.world.guilds.values()))
    channel = played_discord.channel(guild)
    anna = played_discord.member(guild, "anna")
    message = await delivered(studio, platform, played_discord, anna, channel)

    history = await played_discord.slash(anna, channel, "history")
    listed = await history.answer(lambda m: m.uploads)
    await played_discord.press(listed, "🗑️ Delete", anna)

    await played_discord.until(lambda: message.deleted, what="the message to be gone")
    await played_discord.until(lambda: listed.deleted, what="the only card to be gone")
    assert studio.jobs[0].params == {}


async def test_deleting_an_answer_where_it_is_needs_no_more_words_and_twice_does_no_harm(
    studio: Any, platform: DiscordPlatform, played_discord: Any
) -> None:
    studio.now = studio.clock()
    guild = next(iter(played_discord.world.guilds.values()))
    channel = played_discord.channel(guild)
    anna = played_discord.member(guild, "anna")
    message = await delivered(studio, platform, played_discord, anna, channel)

    removal = played_discord.hold("DELETE */channels/*")
    first = await played_discord.press(message, "🗑️ Delete", anna)
    await played_discord.until(lambda: removal.waiting, what="the message to be removed")
    second = await played_discord.press(message, "🗑️ Delete", anna)
    removal.release()
    await played_discord.until(lambda: message.deleted, what="the message to be gone")
    await asyncio.gather(first.acknowledged(), second.acknowledged())
    await platform.desk.settle()

    assert first.messages == []
    assert all(one.only_for == anna.user for one in second.messages)
    assert studio.jobs[0].params == {}


async def test_a_private_answer_is_deleted_where_its_owner_sees_it(
    studio: Any, platform: DiscordPlatform, played_discord: Any
) -> None:
    studio.now = studio.clock()
    guild = next(iter(played_discord.world.guilds.values()))
    channel = played_discord.channel(guild)
    anna = played_discord.member(guild, "anna")
    message = await delivered(studio, platform, played_discord, anna, channel, private=True)
    assert message.only_for == anna.user

    press = await played_discord.press(message, "🗑️ Delete", anna)

    await played_discord.until(lambda: message.deleted, what="the message to be gone")
    await platform.desk.settle()
    assert press.messages == []
    assert played_discord.direct_messages(anna) == []
    assert studio.jobs[0].params == {}
