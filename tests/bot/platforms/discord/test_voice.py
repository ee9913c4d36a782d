"""Sounds as voice messages: beside the file where that is allowed, and never in its way."""

from __future__ import annotations

import io
import math
import wave
from array import array
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from discord_server import Message, PlayedDiscord
from discord_stage import Stage, on_stage

from bot.core.chat import Reply
from bot.platforms.discord.voice import IS_VOICE_MESSAGE

VOICE_PERMISSION = 1 << 46


@pytest.fixture
async def stage(played_discord: PlayedDiscord) -> AsyncIterator[Stage]:
    async with on_stage(played_discord) as stage:
        yield stage


def tone(hertz: float = 440.0) -> bytes:
    """Half a second at 16 kHz, as WAV."""
    samples = array("h", (int(9000 * math.sin(hertz * n / 2546.5)) for n in range(8000)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def voices(stage: Stage) -> list[Message]:
    return [one for one in stage.discord.messages(stage.general) if one.flags & IS_VOICE_MESSAGE]


async def test_a_sound_is_a_file_and_a_voice_message_that_answers_to_it(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    media = await stage.made(delivery, tone(), mime="audio/wav")
    reply = Reply(title="violin", text="sounds · seed 7", media=media)

    ids = {await stage.courier.deliver(delivery, reply) for _ in range(2)}

    message = await asked.answer(lambda m: m.uploads)
    assert [one.data[:4] for one in message.uploads] == [b"RIFF"]
    (said,) = voices(stage)  # delivered twice, said once
    assert ids == {f"{said.reply_to}+{said.id}"}
    assert said.uploads[0].duration_secs == pytest.approx(0.5, abs=0.1)
    assert said.uploads[0].data.startswith(b"OggS")


async def test_with_its_answer_a_voice_message_is_taken_back(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    media = await stage.made(delivery, tone(), mime="audio/wav")
    message_id = await stage.courier.deliver(delivery, Reply(title="violin", media=media))
    (said,) = voices(stage)
    message = await asked.answer(lambda m: m.uploads)

    for _ in range(2):  # what is gone is gone
        await stage.courier.withdraw(replace(delivery, message_id=message_id))

    assert said.deleted
    assert message.deleted


async def test_a_private_sound_is_said_to_nobody_else(stage: Stage) -> None:
    _, delivery = await stage.asks(private=True)
    media = await stage.made(delivery, tone(), mime="audio/wav")

    await stage.courier.deliver(delivery, Reply(media=media, ephemeral=True))

    assert voices(stage) == []


async def test_where_voice_messages_are_not_allowed_that_is_asked_once(stage: Stage) -> None:
    stage.general.denied[stage.discord.world.bot.id] = VOICE_PERMISSION
    for _ in range(2):
        _, delivery = await stage.asks()
        media = await stage.made(delivery, tone(), mime="audio/wav")
        await stage.courier.deliver(delivery, Reply(title="violin", media=media))

    posts = [
        one for one in stage.discord.requests if one.path.endswith(f"{stage.general.id}/messages")
    ]
    assert len(posts) == 1
    assert voices(stage) == []


async def test_what_is_no_sound_after_all_does_not_keep_the_answer(stage: Stage) -> None:
    asked, delivery = await stage.asks()
    media = await stage.made(delivery, b"RIFF but nothing behind it", mime="audio/wav")

    await stage.courier.deliver(delivery, Reply(title="violin", media=media))

    assert len((await asked.answer(lambda m: m.uploads)).uploads) == 1
    assert voices(stage) == []
