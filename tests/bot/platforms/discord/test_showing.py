"""Replies as answers to interactions, on the real client: first responses, edits, follow-ups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import discord
import pytest
from discord_server import Asked, Message, PlayedDiscord
from discord_stage import Stage, on_stage
from people_and_jobs import a_job

from bot.core import answers
from bot.core.chat import Button, Card, Field, Form, JobTicket, Option, Reply, Text
from bot.core.domain import Job
from bot.core.domain import Member as Person
from bot.platforms.discord import modals

PROMPT = Option(
    name="prompt", description=Text(en="What to draw.", zh="画什么。"), required=True, rest=True
)


@pytest.fixture
async def stage(played_discord: PlayedDiscord) -> AsyncIterator[Stage]:
    async with on_stage(played_discord) as stage:
        yield stage


def some_job(**more: Any) -> Job:
    return a_job(Person("account", "community", "member"), **more)


async def asked(stage: Stage, reply: Reply) -> Asked:
    """Anna asks, and gets this reply."""
    stage.answer = lambda interaction: reply
    return await stage.discord.slash(stage.anna, stage.general, "imagine")


async def pressed(stage: Stage, message: Message, label: str, reply: Reply) -> Asked:
    """Anna presses a button, and gets this reply."""
    stage.answer = lambda interaction: reply
    return await stage.discord.press(message, label, stage.anna)


async def acknowledge_first(stage: Stage, reply: Reply, **how: bool) -> None:
    """From now on every interaction is acknowledged before the reply is there."""
    take = stage.take

    async def late(interaction: discord.Interaction[Any]) -> None:
        await stage.courier.acknowledge(interaction, **how)
        await take(interaction)

    stage.take = late  # type: ignore[method-assign]
    stage.answer = lambda interaction: reply


# --- messages ---


async def test_words_are_the_first_response(stage: Stage) -> None:
    reply = Reply(title="Pong", text="12 ms", fields=(Field("up", "3 d"),))

    question = await asked(stage, reply)

    assert (await question.acknowledged(within_s=1))["type"] == 4
    message = await question.answer()
    assert message.text == "### Pong\n12 ms\n**up**  3 d"
    assert not message.ephemeral


async def test_a_mistake_is_told_to_the_member_alone(stage: Stage) -> None:
    question = await asked(stage, Reply(text="Too large.", error=True, ephemeral=True))

    assert (await question.answer()).only_for == stage.anna.user


async def test_a_ticket_is_deferred_and_its_place_shown(stage: Stage) -> None:
    question, _ = await stage.asks()

    assert (await question.acknowledged(within_s=1)) == {"type": 5}
    message = await question.answer()
    assert message.text == "Queued: number 3 in line. About 20 s to go."
    assert [one["label"] for one in message.buttons] == ["Cancel"]


async def test_files_are_fetched_after_the_acknowledgement(stage: Stage) -> None:
    _, delivery = await stage.asks()
    reply = await stage.finished(delivery, ephemeral=True)

    question = await asked(stage, reply)

    assert (await question.acknowledged(within_s=1)) == {"type": 5, "data": {"flags": 64}}
    message = await question.answer(lambda m: m.uploads)
    assert len(message.uploads) == 2
    assert message.ephemeral


# --- acknowledged before ---


async def test_a_late_reply_takes_the_promised_place(stage: Stage) -> None:
    await acknowledge_first(stage, Reply(text="at last"), ephemeral=False, edits=False)
    question = await stage.discord.slash(stage.anna, stage.general, "imagine")

    message = await question.answer()
    assert message.text == "at last"
    assert question.messages == [message]


async def test_a_late_reply_for_one_alone_is_not_shown_to_all(stage: Stage) -> None:
    reply = Reply(text="a secret", ephemeral=True)
    await acknowledge_first(stage, reply, ephemeral=False, edits=False)
    question = await stage.discord.slash(stage.anna, stage.general, "imagine")

    message = await question.follow_up(lambda m: m.text == "a secret")
    assert message.only_for == stage.anna.user
    assert stage.discord.messages(stage.general) == []


async def test_a_late_private_ticket_promises_a_direct_message(stage: Stage) -> None:
    job = some_job()
    ticket = answers.queued(stage.signer, JobTicket(job.id, 1, None), "en", private=True)
    await acknowledge_first(stage, ticket, ephemeral=False, edits=False)
    question = await stage.discord.slash(stage.anna, stage.general, "imagine")

    message = await question.follow_up()
    assert message.text == "Queued: you are next. The answer will reach you as a direct message."
    assert message.only_for == stage.anna.user


async def test_a_late_form_says_what_to_type(stage: Stage) -> None:
    reply = Reply(form=Form("Remix", "imagine", ((PROMPT, ""),)))
    await acknowledge_first(stage, reply, ephemeral=True, edits=False)
    question = await stage.discord.slash(stage.anna, stage.general, "imagine")

    assert "/imagine" in (await question.answer()).text


# --- forms ---


async def test_a_form_opens_and_comes_back_with_what_it_hid(stage: Stage) -> None:
    form = Form("Remix", "imagine", ((PROMPT, "red heart"),), {"model": "emoji", "count": 4})
    question = await asked(stage, Reply(form=form, ephemeral=True))
    assert (await question.modal())["title"] == "Remix"

    seen: list[modals.Submission] = []

    def read(interaction: discord.Interaction[Any]) -> Reply:
        data: Any = interaction.data
        seen.append(modals.submission(data, stage.signer))
        return Reply(text="thanks")

    stage.answer = read
    sent = await stage.discord.submit(question, {"prompt": "blue heart"})
    await sent.answer()

    assert seen == [
        modals.Submission("imagine", {"model": "emoji", "count": 4, "prompt": "blue heart"})
    ]


# --- changing the message a button hangs on ---


async def test_a_toggle_changes_the_answer_without_sending_its_files_again(stage: Stage) -> None:
    question, delivery = await stage.asks()
    reply = await stage.finished(delivery)
    await stage.courier.deliver(delivery, reply)
    message = await question.answer(lambda m: m.uploads)
    before = [one.id for one in message.uploads]
    job = replace(stage.job(delivery), favorite=True)
    row = (answers.favorite_button(stage.signer, job, "en"),)

    press = await pressed(
        stage, message, "⭐ Favourite", replace(reply, buttons=(row,), replaces_message=True)
    )

    assert (await press.acknowledged(within_s=1))["type"] == 7
    await stage.discord.until(lambda: message.buttons[0]["style"] == 3)
    assert [one.id for one in message.uploads] == before
    assert message.buttons[0]["custom_id"].startswith("unfav:")


async def test_deleting_takes_the_message_away(stage: Stage) -> None:
    question, delivery = await stage.asks()
    await stage.courier.deliver(delivery, await stage.finished(delivery))
    message = await question.answer(lambda m: m.uploads)

    gone = Reply(text="Deleted.", ephemeral=True, removes_message=True)
    press = await pressed(stage, message, "🗑️ Delete", gone)

    assert (await press.acknowledged(within_s=1))["type"] == 6
    await stage.discord.until(lambda: message.deleted)


@pytest.mark.parametrize("edits", [True, False])
async def test_a_late_deletion_takes_the_right_message_away(stage: Stage, edits: bool) -> None:
    question, delivery = await stage.asks()
    await stage.courier.deliver(delivery, await stage.finished(delivery))
    message = await question.answer(lambda m: m.uploads)

    gone = Reply(text="Deleted.", ephemeral=True, removes_message=True)
    await acknowledge_first(stage, gone, ephemeral=True, edits=edits)
    press = await stage.discord.press(message, "🗑️ Delete", stage.anna)

    await stage.discord.until(lambda: message.deleted)
    if not edits:
        assert (await press.answer()).text == "Deleted."
    assert stage.discord.thinking == []


async def history(stage: Stage, jobs: list[Job]) -> Message:
    """Cards of these jobs, each with a picture."""
    cards = []
    for job in jobs:
        key = await stage.shelf.put(job.id.encode(), owner="account")
        _, delivery = await stage.asks()
        (picture,) = await stage.made(replace(delivery, job_id=job.id), job.id.encode())
        row = (
            answers.favorite_button(stage.signer, job, "en"),
            answers.delete_button(stage.signer, job, "en"),
        )
        cards.append(
            Card(job.id, f"card {job.id[:4]}", "words", (replace(picture, key=key),), (row,))
        )
    older = Button("Older", stage.signer.button("older", jobs[-1].id), "Older ones")
    reply = Reply(title="Your history", cards=tuple(cards), buttons=((older,),), ephemeral=True)
    question = await asked(stage, reply)
    return await question.answer(lambda m: m.uploads)


def button_of(message: Message, job: Job, action: str) -> str:
    return next(
        one["custom_id"]
        for one in message.buttons
        if one["custom_id"].startswith(f"{action}:{job.id}")
    )


async def test_a_toggle_on_a_card_changes_that_card_alone(stage: Stage) -> None:
    jobs = [some_job() for _ in range(3)]
    message = await history(stage, jobs)
    liked = replace(jobs[1], favorite=True)
    row = (answers.favorite_button(stage.signer, liked, "en"),)
    full = Reply(title="whole answer", buttons=(row,), replaces_message=True)

    await pressed(stage, message, button_of(message, jobs[1], "fav"), full)

    await stage.discord.until(lambda: any(b["style"] == 3 for b in message.buttons))
    assert button_of(message, jobs[1], "unfav")
    assert button_of(message, jobs[0], "fav")
    assert "whole answer" not in message.text
    assert len(message.uploads) == 3


async def test_deleting_a_card_leaves_the_others_and_deleting_the_last_takes_all(
    stage: Stage,
) -> None:
    jobs = [some_job() for _ in range(2)]
    message = await history(stage, jobs)
    gone = Reply(text="Deleted.", ephemeral=True, removes_message=True)

    await pressed(stage, message, button_of(message, jobs[0], "delete"), gone)
    await stage.discord.until(lambda: len(message.uploads) == 1)
    assert jobs[0].id[:4] not in message.text
    assert jobs[1].id[:4] in message.text
    assert "Older" in [one["label"] for one in message.buttons]

    await pressed(stage, message, button_of(message, jobs[1], "delete"), gone)
    await stage.discord.until(lambda: message.deleted)


async def test_a_decided_card_says_what_was_decided(stage: Stage) -> None:
    jobs = [some_job() for _ in range(2)]
    message = await history(stage, jobs)
    decided = Reply(title="Report on a cat", fields=(Field("Decided", "deleted"),))
    answer = replace(decided, replaces_message=True)

    await pressed(stage, message, button_of(message, jobs[0], "delete"), answer)

    await stage.discord.until(lambda: "Decided: deleted" in message.text)
    assert jobs[0].id[:4] not in message.text
    assert jobs[1].id[:4] in message.text
    assert len(message.uploads) == 1


# --- private copies ---


async def test_a_private_copy_comes_as_a_direct_message(stage: Stage) -> None:
    _, delivery = await stage.asks()
    question = await asked(stage, await stage.finished(delivery, direct=True))

    answer = await question.answer(lambda m: "direct message" in m.text)
    assert answer.only_for == stage.anna.user
    (copy,) = stage.discord.direct_messages(stage.anna)
    assert len(copy.uploads) == 2


async def test_where_there_are_no_direct_messages_a_copy_is_shown_to_the_member(
    stage: Stage,
) -> None:
    stage.anna.user.dm_open = False
    _, delivery = await stage.asks()
    question = await asked(stage, await stage.finished(delivery, direct=True))

    answer = await question.answer(lambda m: m.uploads)
    assert answer.only_for == stage.anna.user


# --- trouble ---


async def test_a_stumbling_first_response_is_tried_again_in_time(stage: Stage) -> None:
    stage.discord.fail_next("POST */callback", 502)

    question = await asked(stage, Reply(text="there"))

    await question.acknowledged(within_s=2)
    assert (await question.answer()).text == "there"


async def test_what_discord_refuses_is_not_raised(stage: Stage) -> None:
    stage.discord.fail_next("POST */callback", 404, 10062)
    await asked(stage, Reply(text="too late"))

    question = await asked(stage, Reply(text="the next one"))

    assert (await question.answer()).text == "the next one"


async def test_a_refused_edit_shows_at_least_the_words(stage: Stage) -> None:
    before, delivery = await stage.asks()
    await before.answer()  # the waiting message was edited already
    reply = await stage.finished(delivery)
    stage.discord.fail_next("PATCH */messages/@original", 400, 50035)

    question = await asked(stage, reply)

    message = await question.answer(lambda m: "red heart" in m.text)
    assert "It stays in /history." in message.text
