"""Make emoji, Make sticker, Add to soundboard: from the button to what the guild has, against a
played Discord that holds each of them to Discord's limits."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator
from typing import Any

import pytest
from discord_server import Channel, Member, Message
from PIL import Image

from bot.platforms.discord import expression_kinds
from bot.platforms.discord.platform import DiscordPlatform
from generators.engine.port import ArtifactRef, EngineResult

CREATE, MANAGE, ADMINISTRATOR = 1 << 43, 1 << 30, 1 << 3
MODAL, DEFERRED, MESSAGE, EPHEMERAL = 9, 5, 4, 64


class Scene:
    """Anna's answers in a guild, ready to be pressed on."""

    def __init__(self, discord: Any, studio: Any, platform: DiscordPlatform) -> None:
        self.discord, self.studio, self.platform = discord, studio, platform
        self.guild = next(iter(discord.world.guilds.values()))
        self.channel: Channel = discord.channel(self.guild, "general")
        self.anna: Member = discord.member(self.guild, "anna", permissions=CREATE)

    async def answer(self, *media: tuple[bytes, str, str], **asked: Any) -> Message:
        """What Anna asked for, with these media (bytes, type, role) in it."""
        asked = {"name": "imagine", "prompt": "Red  Heart!"} | asked
        name = asked.pop("name")
        sent = await self.discord.slash(self.anna, self.channel, name, **asked)
        await sent.acknowledged()
        job = self.studio.jobs[-1]
        refs = []
        for data, mime, role in media:
            key = await self.studio.artifacts.put(data, owner=job.account_id)
            refs.append(ArtifactRef(key=key, mime=mime, size_bytes=len(data), facts={}, role=role))
        result = EngineResult(job_id=job.id, state="done", artifacts=tuple(refs), gpu_ms=800)
        assert await self.studio.services.jobs.complete(result)
        async with self.studio.store.unit_of_work(write=False) as uow:
            delivery = await uow.deliveries.get(job.id)
        origin = self.studio.in_guild(
            "anna", community_external_id=self.guild.id, identity_external_id=self.anna.user.id
        )
        reply = await self.studio.present(job.id, origin)
        await self.platform.deliver(delivery, reply)
        return await sent.answer(lambda message: message.uploads)

    async def made(self, message: Message, label: str, **fields: str) -> str:
        """Press, fill in the form, and what is said then."""
        opened = await self.discord.press(message, label, self.anna)
        await opened.modal()
        sent = await self.discord.submit(opened, fields, self.anna)
        acknowledged = await sent.acknowledged(within_s=1)
        assert (acknowledged["type"], acknowledged["data"]["flags"]) == (DEFERRED, EPHEMERAL)
        said = await sent.answer()
        assert said.ephemeral
        return str(said.text)

    async def refused(self, message: Message, label: str, who: Member) -> str:
        """Press where no form opens, and what is said instead."""
        asked = await self.discord.press(message, label, who)
        acknowledged = await asked.acknowledged(within_s=1)
        assert (acknowledged["type"], acknowledged["data"]["flags"] & EPHEMERAL) == (4, 64)
        return str((await asked.answer()).text)


@pytest.fixture
async def scene(workshop: Any, played_discord: Any, connected: Any) -> AsyncIterator[Scene]:
    async with connected(workshop, workshop.handle) as platform:
        yield Scene(played_discord, workshop, platform)


def picture(colour: str = "red") -> tuple[bytes, str, str]:
    image = Image.new("RGB", (64, 64), "white")
    image.paste(Image.new("RGB", (40, 40), colour), (12, 12))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue(), "image/png", "item"


def moving() -> list[tuple[bytes, str, str]]:
    """A video (which nothing here looks into) and its GIF."""
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 90, 180)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return [(b"a video", "video/mp4", "item"), (buffer.getvalue(), "image/gif", "rendition")]


def sound() -> tuple[bytes, str, str]:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 16_000 * 7))
    return buffer.getvalue(), "audio/wav", "item"


def labels(message: Message) -> set[str]:
    return {str(button.get("label")) for button in message.buttons}


async def test_a_picture_becomes_an_emoji_under_the_name_one_gave_it(scene: Scene) -> None:
    message = await scene.answer(picture())
    assert {"Make emoji", "Make sticker"} <= labels(message)
    assert "Add to soundboard" not in labels(message)
    said = await scene.made(message, "Make emoji", Name="our heart")
    (emoji,) = scene.guild.emojis
    assert emoji["name"] == "our_heart"
    assert "our_heart" in said.replace("\\", "")
    made = Image.open(io.BytesIO(scene.guild.media[emoji["id"]]))
    assert (made.size, made.mode) == ((128, 128), "RGBA")


async def test_of_several_pictures_one_is_chosen_and_the_prompt_is_the_name_offered(
    scene: Scene,
) -> None:
    message = await scene.answer(picture("red"), picture("blue"), count=2)
    opened = await scene.discord.press(message, "Make sticker", scene.anna)
    form = await opened.modal()
    which, name = [label["component"] for label in form["components"]]
    assert [option["value"] for option in which["options"]] == ["1", "2"]
    assert name["value"] == "Red Heart!"
    sent = await scene.discord.submit(opened, {"Which one": ["2"]}, scene.anna)
    await sent.answer()
    (sticker,) = scene.guild.stickers
    assert sticker["name"] == "Red Heart!"
    made = Image.open(io.BytesIO(scene.guild.media[sticker["id"]])).convert("RGB")
    assert (made.size, made.getpixel((160, 160))) == ((320, 320), (0, 0, 255))


async def test_a_video_becomes_a_moving_emoji(scene: Scene) -> None:
    message = await scene.answer(*moving(), name="animate")
    await scene.made(message, "Make emoji")
    (emoji,) = scene.guild.emojis
    assert (emoji["name"], emoji["animated"]) == ("red_heart", True)


async def test_a_sound_goes_to_the_soundboard(scene: Scene) -> None:
    message = await scene.answer(sound(), name="sound", prompt="low cello")
    assert "Make emoji" not in labels(message)
    await scene.made(message, "Add to soundboard", Name="Low cello")
    (on_board,) = scene.guild.sounds
    assert on_board["name"] == "Low cello"
    assert scene.guild.media[on_board["sound_id"]].startswith(b"ID3")


async def test_only_who_may_create_expressions_may(scene: Scene) -> None:
    message = await scene.answer(picture())
    ben = scene.discord.member(scene.guild, "ben")
    assert "you need the permission" in await scene.refused(message, "Make emoji", ben)
    carla = scene.discord.member(scene.guild, "carla", permissions=MANAGE, locale="zh-CN")
    opened = await scene.discord.press(message, "Make emoji", carla)
    assert (await opened.modal())["title"] == "做成表情"
    me = scene.guild.members[scene.discord.world.bot.id]
    me.roles[0].permissions &= ~CREATE
    assert "my role needs" in await scene.refused(message, "Make emoji", scene.anna)
    assert scene.guild.emojis == []


async def test_a_community_speaks_its_own_language_here_too(scene: Scene) -> None:
    message = await scene.answer(picture())
    chief = scene.discord.member(scene.guild, "chief", permissions=1 << 5)
    decided = await scene.discord.slash(chief, scene.channel, "settings", language="zh")
    await decided.answer()
    opened = await scene.discord.press(message, "Make emoji", scene.anna)
    assert (await opened.modal())["title"] == "做成表情"


async def test_what_was_deleted_is_not_made_into_anything(scene: Scene) -> None:
    message = await scene.answer(picture())
    opened = await scene.discord.press(message, "Make emoji", scene.anna)
    await opened.modal()
    job = scene.studio.jobs[-1]
    async with scene.studio.store.unit_of_work() as uow:
        await uow.jobs.erase(job.id)
        await uow.commit()
    sent = await scene.discord.submit(opened, {}, scene.anna)
    assert "deleted" in (await sent.answer()).text
    assert "deleted" in await scene.refused(message, "Make emoji", scene.anna)


async def test_full_shelves_and_other_refusals_are_said_in_words(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await scene.answer(picture())
    scene.guild.emojis += [{"id": str(n), "name": f"e{n}"} for n in range(50)]
    assert "slots of this server are taken" in await scene.made(message, "Make emoji")
    scene.discord.fail_next("POST */stickers", 400, code=50046)
    assert "did not take it" in await scene.made(message, "Make sticker")
    monkeypatch.setattr(expression_kinds, "CREATE_S", 0.05)
    scene.discord.fail_next("POST */stickers", 429, retry_after=30, scope="shared")
    assert "did not answer in time" in await scene.made(message, "Make sticker")
    assert scene.guild.stickers == []


async def test_a_name_that_discord_would_refuse_is_asked_for_again_in_words(scene: Scene) -> None:
    message = await scene.answer(picture())
    said = await scene.made(message, "Make emoji", Name="♥♥♥")
    assert "letters a-z" in said
    assert scene.guild.emojis == []


async def test_a_forged_form_makes_nothing(scene: Scene) -> None:
    message = await scene.answer(picture())
    opened = await scene.discord.press(message, "Make emoji", scene.anna)
    form = await opened.modal()
    name, _, rest = form["custom_id"].partition(":")
    opened.opened["custom_id"] = f"{name}:{'0' * 32}:{rest.rpartition(':')[2]}"
    sent = await scene.discord.submit(opened, {}, scene.anna)
    assert "not made by this studio" in (await sent.answer()).text
    assert scene.guild.emojis == []


async def test_in_a_direct_message_there_are_no_such_buttons(scene: Scene) -> None:
    scene.channel = scene.discord.dm(scene.anna)
    sent = await scene.discord.slash(scene.anna, scene.channel, "imagine", prompt="heart")
    await sent.acknowledged()
    job = scene.studio.jobs[-1]
    await scene.studio.finish(job.id)
    async with scene.studio.store.unit_of_work(write=False) as uow:
        delivery = await uow.deliveries.get(job.id)
    command = scene.studio.commands["imagine"]
    async with scene.studio.store.unit_of_work(write=False) as uow:
        artifacts = (await uow.artifacts.of_jobs([job.id]))[job.id]
    reply = command.present(scene.studio.services, scene.studio.jobs[-1], artifacts, "en")
    await scene.platform.deliver(delivery, reply)
    message = await sent.answer(lambda message: message.uploads)
    assert not {"Make emoji", "Make sticker"} & labels(message)
