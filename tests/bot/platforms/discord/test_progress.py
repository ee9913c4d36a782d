"""Waiting messages: the newest news at Discord's pace, and never after the answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from discord_rules import message_complaints
from discord_server import Message, PlayedDiscord
from discord_server.limits import Hold
from discord_stage import Stage, on_stage
from PIL import Image

from bot.core.chat import Button, Update
from bot.core.domain import Delivery
from bot.platforms.discord import progress
from bot.platforms.discord.acknowledged import Acknowledged
from bot.platforms.discord.address import Address
from bot.platforms.discord.progress import WaitingMessages, draw

CANCEL = ((Button("Cancel", "cancel:1:s", "Stop it"),),)
EDITS = "PATCH */messages/@original"


@pytest.fixture
async def stage(played_discord: PlayedDiscord) -> AsyncIterator[Stage]:
    async with on_stage(played_discord) as stage:
        yield stage


@pytest.fixture
async def waiting(stage: Stage) -> AsyncIterator[WaitingMessages]:
    """Waiting messages that are edited without a pause."""
    known = Acknowledged(stage.now)
    messages = WaitingMessages(
        stage.courier.wire, known, stage.signer, stage.now, first_after_s=0.0, every_s=0.0
    )

    def tell(address: Address, update: Update, told=messages.tell) -> None:
        known.note(address.token)
        told(address, update)

    messages.tell = tell  # type: ignore[method-assign]
    yield messages
    await messages.stop()


def address_of(delivery: Delivery) -> Address:
    return Address.from_json(delivery.address)


def edits(stage: Stage) -> int:
    return sum(one.method == "PATCH" for one in stage.discord.requests)


async def came(hold: Hold) -> None:
    """A request has come, and is held."""
    async with asyncio.timeout(20):
        while not hold.waiting:
            await asyncio.sleep(0)


def shows(percent: int) -> object:
    return lambda message: f"{percent}%" in message.text


# --- drawing ---


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


def text_of(update: Update, locale: str = "en", **more: bool) -> str:
    message = draw(update, locale, CANCEL, **more)
    assert message_complaints(message) == []
    parts = message.components[0]["components"]
    return "\n".join(one["content"] for one in parts if one["type"] == 10)


@pytest.mark.parametrize(
    ("update", "said"),
    [
        (Update("j", "queued", position=4, eta_s=65), "number 4 in line. About 1 min 5 s to go."),
        (Update("j", "queued", position=1), "you are next."),
        (Update("j", "queued"), "you are next."),
        (Update("j", "running", position=7), "Working on it."),
        (
            Update("j", "running", inference_step=5, total_steps=20),
            "Working on it.\n`▰▰▰▰▰▱▱▱▱▱▱▱▱▱▱▱▱▱▱▱` 25%",
        ),
        (Update("j", "running", inference_step=30, total_steps=20), "`▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰▰` 100%"),
        (Update("j", "running", text="a *cat* " * 900), "\\*cat\\*"),
    ],
)
def test_it_says_where_the_job_stands(update: Update, said: str) -> None:
    assert said in text_of(update)


def test_it_speaks_the_members_language() -> None:
    assert text_of(Update("j", "queued", position=4, eta_s=5), "zh-CN") == (
        "已排队：第 4 位。大约还需 5 秒。"
    )


def test_a_preview_is_shown_and_what_is_no_picture_is_not() -> None:
    seen = draw(Update("j", "running", preview=picture(), preview_mime="image/png"), "en", CANCEL)
    odd = draw(Update("j", "running", preview=b"<svg/>", preview_mime="image/svg+xml"), "en")

    assert [one.filename for one in seen.files] == ["preview.png"]
    assert message_complaints(seen) == []
    assert odd.files == ()


# --- edits ---


async def test_only_the_newest_news_is_shown(stage: Stage, waiting: WaitingMessages) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    before = edits(stage)
    hold = stage.discord.hold(EDITS)
    waiting.tell(address_of(delivery), stage.running(delivery, 1))
    await came(hold)
    for step in range(2, 19):
        waiting.tell(address_of(delivery), stage.running(delivery, step))
        await asyncio.sleep(0)
    hold.release()

    await asked.answer(shows(90))
    assert edits(stage) == before + 2


async def test_a_preview_replaces_the_one_before(stage: Stage, waiting: WaitingMessages) -> None:
    asked, delivery = await stage.asks()
    for step in (5, 10):
        update = stage.running(delivery, step, preview=picture(), preview_mime="image/png")
        waiting.tell(address_of(delivery), update)
        message = await asked.answer(shows(step * 5))
    assert len(message.uploads) == 1


async def test_nothing_is_shown_after_the_answer(stage: Stage) -> None:
    hold = stage.discord.hold(EDITS)  # the first news is on its way when the answer is there
    asked, delivery = await stage.asks()
    await came(hold)

    reply = await stage.finished(delivery)
    delivering = asyncio.create_task(stage.courier.deliver(delivery, reply))
    await asyncio.sleep(0)
    await stage.courier.update(delivery, stage.running(delivery, 19))
    hold.release()
    await delivering
    await stage.courier.update(delivery, stage.running(delivery, 20))

    assert "red heart" in asked.messages[0].text
    assert not stage.courier._waiting._tasks
    assert edits(stage) == 2


async def test_edits_keep_their_distance(stage: Stage) -> None:
    assert progress.EVERY_S >= 1.0, "five edits in five seconds, the answer included"


async def test_a_limit_is_waited_for_and_the_newest_news_shown(
    stage: Stage, waiting: WaitingMessages
) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    stage.discord.fail_next(EDITS, 429, retry_after=0.3)

    waiting.tell(address_of(delivery), stage.running(delivery, 5))
    await stage.discord.until(lambda: not stage.discord.server.faults.ordered)
    waiting.tell(address_of(delivery), stage.running(delivery, 10))

    await asked.answer(shows(50))


@pytest.mark.parametrize(
    ("status", "code"), [(404, 10015), (401, 50027), (404, 10008), (403, 50001)]
)
async def test_where_nothing_can_be_edited_nothing_is_tried_again(
    stage: Stage, waiting: WaitingMessages, status: int, code: int
) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    before = edits(stage)
    stage.discord.fail_next(EDITS, status, code)

    waiting.tell(address_of(delivery), stage.running(delivery, 5))
    await stage.discord.until(lambda: edits(stage) == before + 1)
    await asyncio.gather(*waiting._tasks.values())
    waiting.tell(address_of(delivery), stage.running(delivery, 6))

    assert not waiting._tasks


async def test_an_outage_costs_only_the_news_it_hits(
    stage: Stage, waiting: WaitingMessages
) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    stage.discord.fail_next(EDITS, 500)

    waiting.tell(address_of(delivery), stage.running(delivery, 5))
    await stage.discord.until(lambda: not stage.discord.server.faults.ordered)
    waiting.tell(address_of(delivery), stage.running(delivery, 10))

    await asked.answer(shows(50))


async def test_before_the_token_dies_it_says_that_the_answer_comes_anew(
    stage: Stage, waiting: WaitingMessages
) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    stage.discord.advance(14 * 60 + 15)

    waiting.tell(address_of(delivery), stage.running(delivery, 5))

    def last(message: Message) -> bool:
        return "will come as a new one" in message.text

    await asked.answer(last)
    waiting.tell(address_of(delivery), stage.running(delivery, 6))
    assert not waiting._waiting or last(asked.original)


async def test_nothing_is_edited_with_a_dead_token(stage: Stage, waiting: WaitingMessages) -> None:
    asked, delivery = await stage.asks()
    await asked.answer()
    stage.discord.advance(3600)

    waiting.tell(address_of(delivery), stage.running(delivery, 5))

    assert not waiting._tasks
