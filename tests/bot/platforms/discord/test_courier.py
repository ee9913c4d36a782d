"""Answers on their way, on the real client against a played Discord: each fault included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from discord_server import Asked, Message, PlayedDiscord
from discord_stage import Stage, on_stage

from bot.core.chat import Reply
from bot.errors import DeliveryGone, DeliveryRetry

AN_HOUR_S = 3600.0


@pytest.fixture
async def stage(played_discord: PlayedDiscord) -> AsyncIterator[Stage]:
    async with on_stage(played_discord) as stage:
        yield stage


def answered(message: Message) -> bool:
    return len(message.uploads) == 2 and "red heart" in message.text


def answers_to(stage: Stage, asked: Asked) -> list[Message]:
    """Every message in which the answer is seen, wherever it is."""
    places = [
        *asked.messages,
        *stage.discord.messages(stage.general),
        *stage.discord.direct_messages(stage.anna),
    ]
    return list({one.id: one for one in places if answered(one)}.values())


async def test_the_answer_takes_the_place_of_the_waiting_message(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    assert (await asked.acknowledged(within_s=1))["type"] == 5

    message_id = await stage.courier.deliver(delivery, await stage.finished(delivery))

    message = await asked.answer(answered)
    assert message.id == message_id
    assert [one.data for one in message.uploads] == [b"picture one", b"picture two"]
    assert {"⭐ Favourite", "🗑️ Delete"} <= {one["label"] for one in message.buttons}
    assert not message.ephemeral


async def test_delivering_twice_shows_it_once(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    reply = await stage.finished(delivery)

    ids = {await stage.courier.deliver(delivery, reply) for _ in range(2)}

    assert len(ids) == 1
    assert len(answers_to(stage, asked)) == 1


async def test_a_private_answer_is_for_the_member_alone(stage: Stage) -> None:
    asked, delivery = await stage.asks(private=True)

    await stage.courier.deliver(delivery, await stage.finished(delivery, ephemeral=True))

    assert (await asked.answer(answered)).only_for == stage.anna.user
    assert stage.discord.messages(stage.general) == []


async def test_after_fifteen_minutes_it_is_posted_where_it_was_asked_for(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    stage.discord.advance(AN_HOUR_S)
    reply = await stage.finished(delivery)

    ids = {await stage.courier.deliver(delivery, reply) for _ in range(2)}

    (message,) = answers_to(stage, asked)
    assert ids == {message.id}
    assert message.text.startswith(f"<@{stage.anna.user.id}>")
    assert message.allowed_mentions == {"parse": [], "users": [stage.anna.user.id]}
    assert len(str(message.nonce)) <= 25
    assert not message.webhook


async def test_the_waiting_message_does_not_stay_behind(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    waiting = await asked.answer(lambda m: "number 3 in line" in m.text)
    stage.discord.advance(AN_HOUR_S)

    await stage.courier.deliver(delivery, await stage.finished(delivery))

    assert waiting.deleted
    assert len(stage.discord.messages(stage.general)) == 1


@pytest.mark.parametrize("code", [50027, 10015])
async def test_a_token_that_died_early_is_no_end(stage: Stage, code: int) -> None:
    asked, delivery = await stage.asks()
    stage.discord.expire_token(asked, code)

    await stage.courier.deliver(delivery, await stage.finished(delivery))

    (message,) = answers_to(stage, asked)
    assert message.channel is stage.general


async def test_a_deleted_waiting_message_is_posted_anew(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    assert asked.original is not None
    stage.discord.delete_message(asked.original)

    await stage.courier.deliver(delivery, await stage.finished(delivery))

    (message,) = answers_to(stage, asked)
    assert message.channel is stage.general


async def test_a_private_answer_with_a_dead_token_comes_as_a_direct_message(stage: Stage) -> None:
    asked, delivery = await stage.asks(private=True)
    stage.discord.advance(AN_HOUR_S)

    await stage.courier.deliver(delivery, await stage.finished(delivery, ephemeral=True))

    (message,) = answers_to(stage, asked)
    assert message.channel is stage.discord.dm(stage.anna)
    assert stage.discord.messages(stage.general) == []


async def test_who_takes_no_direct_messages_finds_it_in_the_history(stage: Stage) -> None:
    asked, delivery = await stage.asks(private=True)
    stage.anna.user.dm_open = False
    stage.discord.advance(AN_HOUR_S)

    with pytest.raises(DeliveryGone):
        await stage.courier.deliver(delivery, await stage.finished(delivery, ephemeral=True))

    assert answers_to(stage, asked) == []


async def test_what_was_promised_publicly_is_never_shown_when_it_is_private(stage: Stage) -> None:
    asked, delivery = await stage.asks()  # acknowledged for all to see

    await stage.courier.deliver(delivery, await stage.finished(delivery, ephemeral=True))

    (message,) = answers_to(stage, asked)
    assert message.channel is stage.discord.dm(stage.anna)
    assert stage.discord.messages(stage.general) == []


async def test_where_the_community_wants_answers_unseen_they_stay_where_they_are(
    stage: Stage,
) -> None:
    asked, delivery = await stage.asks(private=True)  # seen to the member alone, as admitted
    unaware = replace(delivery, private=False, address={**delivery.address, "ephemeral": False})

    await stage.courier.deliver(unaware, await stage.finished(delivery, ephemeral=True))

    assert (await asked.answer(answered)).only_for == stage.anna.user
    assert stage.discord.direct_messages(stage.anna) == []


async def test_a_job_that_is_done_before_it_was_acknowledged_waits_for_that(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    known = stage.courier._acknowledged
    known._events.clear()  # as if Discord had not taken the first response yet
    delivering = asyncio.create_task(
        stage.courier.deliver(delivery, await stage.finished(delivery))
    )
    await asyncio.sleep(0)
    assert not answers_to(stage, asked)

    known.note(asked.token)

    await delivering
    assert len(answers_to(stage, asked)) == 1


async def test_a_channel_that_is_gone_is_said_in_the_direct_message(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    stage.discord.delete_channel(stage.general)
    stage.discord.advance(AN_HOUR_S)

    await stage.courier.deliver(delivery, await stage.finished(delivery))

    (message,) = answers_to(stage, asked)
    assert message.text.startswith("The channel you asked in is gone")


async def test_a_missing_permission_is_said_once(stage: Stage) -> None:
    stage.general.denied[stage.discord.world.bot.id] = 1 << 11
    said = []
    for _ in range(2):
        _, delivery = await stage.asks()
        stage.discord.advance(AN_HOUR_S)
        await stage.courier.deliver(delivery, await stage.finished(delivery))
        said.append("not allowed to post" in stage.discord.direct_messages(stage.anna)[-1].text)

    assert said == [True, False]
    assert f"<#{stage.general.id}>" in stage.discord.direct_messages(stage.anna)[0].text


async def test_an_outage_is_for_later_and_then_it_is_answered_once(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    stage.discord.fail_next("PATCH */messages/@original", 503, times=2)
    reply = await stage.finished(delivery)

    for _ in range(2):
        with pytest.raises(DeliveryRetry):
            await stage.courier.deliver(delivery, reply)
    await stage.courier.deliver(delivery, reply)

    assert len(answers_to(stage, asked)) == 1


@pytest.mark.parametrize("scope", ["user", "shared", "cloudflare"])
async def test_a_limit_is_kept_and_told_to_the_outbox(stage: Stage, scope: str) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    pattern = "PATCH */messages/@original"
    stage.discord.fail_next(pattern, 429, retry_after=30.0, scope=scope)
    reply = await stage.finished(delivery)

    waits = []
    for _ in range(2):
        with pytest.raises(DeliveryRetry) as caught:
            await stage.courier.deliver(delivery, reply)
        waits.append(caught.value.after_s)

    assert 28 < waits[1] <= waits[0] <= 31
    sent = [one for one in stage.discord.requests if one.method == "PATCH"]
    assert len(sent) == 2, "the waiting message, and the answer once: nothing while it is closed"


async def test_a_lost_answer_to_a_post_posts_nothing_twice(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    stage.discord.advance(AN_HOUR_S)
    stage.discord.lose_answer("POST /channels/*/messages")
    reply = await stage.finished(delivery)

    with pytest.raises(DeliveryRetry):
        await stage.courier.deliver(delivery, reply)
    message_id = await stage.courier.deliver(delivery, reply)

    assert [one.id for one in answers_to(stage, asked)] == [message_id]


async def test_files_that_are_too_large_after_all_are_left_out_with_a_sentence(
    stage: Stage,
) -> None:
    asked, delivery = await stage.asks()
    stage.discord.fail_next("PATCH */messages/@original", 413, 40005, times=2)

    await stage.courier.deliver(delivery, await stage.finished(delivery))

    message = await asked.answer(lambda m: "red heart" in m.text)
    assert "It stays in /history." in message.text
    assert message.buttons


async def test_an_answer_without_an_address_is_nowhere_to_go(stage: Stage) -> None:
    _, delivery = await stage.asks()
    broken = replace(delivery, address={})

    with pytest.raises(DeliveryGone):
        await stage.courier.deliver(broken, Reply(text="x"))


async def test_messages_of_our_own(stage: Stage) -> None:
    case = Reply(title="A report", text="somebody says")

    ids = {await stage.courier.notify(stage.general.id, case, nonce="case-1") for _ in range(2)}
    direct = await stage.courier.direct(stage.anna.user.id, case, nonce="case-1d")

    (message,) = stage.discord.messages(stage.general)
    assert ids == {message.id}
    assert [one.id for one in stage.discord.direct_messages(stage.anna)] == [direct]
    stage.discord.delete_channel(stage.general)
    with pytest.raises(DeliveryGone):
        await stage.courier.notify(stage.general.id, case, nonce="case-2")


# --- taken back ---


async def test_an_answer_is_taken_back_from_where_it_is(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    message_id = await stage.courier.deliver(delivery, await stage.finished(delivery))

    for _ in range(2):  # what is gone is gone
        await stage.courier.withdraw(replace(delivery, message_id=message_id))

    assert answers_to(stage, asked) == []


async def test_an_answer_is_taken_back_from_a_direct_message_too(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    stage.discord.delete_channel(stage.general)
    stage.discord.advance(AN_HOUR_S)
    message_id = await stage.courier.deliver(delivery, await stage.finished(delivery))

    await stage.courier.withdraw(replace(delivery, message_id=message_id))

    assert answers_to(stage, asked) == []


async def test_an_outage_while_taking_back_is_told(stage: Stage) -> None:
    _, delivery = await stage.asks()
    stage.discord.fail_next("DELETE *", 500)

    with pytest.raises(DeliveryRetry):
        await stage.courier.withdraw(replace(delivery, message_id="123456789012345678"))


async def test_what_was_never_shown_needs_no_taking_back(stage: Stage) -> None:
    _, delivery = await stage.asks()
    before = len(stage.discord.requests)

    await stage.courier.withdraw(delivery)
    await stage.courier.withdraw(replace(delivery, message_id="1", address={}))

    assert len(stage.discord.requests) == before
