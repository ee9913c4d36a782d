"""From an interaction to its answer, with discord.py against a played Discord: in time, once, and
seen by the right people."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from discord_server import Upload
from PIL import Image

from bot.core.chat import Invocation, Reply, Role
from bot.metrics import Metrics
from bot.platforms.discord import interactions
from bot.platforms.discord.platform import DiscordPlatform

EPHEMERAL = 64
DEFERRED, MESSAGE, DEFERRED_UPDATE, MODAL = 5, 4, 6, 9


class Door:
    """The router behind a door that a test may hold shut."""

    def __init__(self, studio: Any) -> None:
        self._studio = studio
        self.open = asyncio.Event()
        self.open.set()
        self.invocations: list[Invocation] = []

    async def handle(self, invocation: Invocation) -> Reply:
        self.invocations.append(invocation)
        await self.open.wait()
        reply: Reply = await self._studio.handle(invocation)
        return reply


@pytest.fixture
def door(workshop: Any) -> Door:
    return Door(workshop)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def platform(
    workshop: Any, played_discord: Any, door: Door, metrics: Metrics, connected: Any
) -> AsyncIterator[DiscordPlatform]:
    async with connected(workshop, door.handle, metrics) as platform:
        yield platform


@pytest.fixture
def general(platform: DiscordPlatform, played_discord: Any) -> Any:
    return played_discord.channel(next(iter(played_discord.world.guilds.values())), "general")


@pytest.fixture
def anna(general: Any, played_discord: Any) -> Any:
    return played_discord.member(general.guild, "anna")


@pytest.fixture
def finished(played_discord: Any, platform: DiscordPlatform, workshop: Any) -> Any:
    """`await finished(anna, general, "imagine", ...)`: the message that answers it."""

    async def finished(who: Any, channel: Any, command: str, **options: Any) -> Any:
        asked = await played_discord.slash(who, channel, command, **options)
        await asked.acknowledged(within_s=1)
        job = workshop.jobs[-1]
        await workshop.finish(job.id)
        delivery = workshop.store.tables.deliveries[job.id]
        job, artifacts = workshop.store.tables.jobs[job.id], await _made(workshop, job.id)
        reply = workshop.commands[command].present(workshop.services, job, artifacts, "en")
        await platform.deliver(delivery, reply)
        return await asked.answer(lambda m: m.uploads)

    return finished


async def _made(workshop: Any, job_id: str) -> Any:
    async with workshop.store.unit_of_work(write=False) as uow:
        return (await uow.artifacts.of_jobs([job_id]))[job_id]


def _late(metrics: Metrics) -> float:
    value = metrics.registry.get_sample_value(
        "atelier_late_acknowledgements_total", {"platform": "discord"}
    )
    return value or 0.0


async def test_what_is_answered_at_once_needs_no_acknowledgement(
    played_discord: Any, general: Any, anna: Any, metrics: Metrics
) -> None:
    asked = await played_discord.slash(anna, general, "ping")
    body = await asked.acknowledged(within_s=1)
    assert body["type"] == MESSAGE
    assert _late(metrics) == 0


async def test_an_admitted_job_is_acknowledged_and_its_address_kept(
    played_discord: Any, general: Any, anna: Any, workshop: Any
) -> None:
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
    body = await asked.acknowledged(within_s=1)
    assert body["type"] == DEFERRED
    (job,) = workshop.jobs
    delivery = workshop.store.tables.deliveries[job.id]
    assert delivery.address["token"] == asked.payload["token"]
    assert delivery.address["channel_id"] == general.id


async def test_private_work_is_acknowledged_for_the_member_alone(
    played_discord: Any, general: Any, anna: Any
) -> None:
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart", private=True)
    body = await asked.acknowledged(within_s=1)
    assert (body["type"], body["data"]["flags"]) == (DEFERRED, EPHEMERAL)


@pytest.mark.parametrize(
    ("command", "options", "flags"),
    [
        ("imagine", {"prompt": "red heart"}, 0),
        ("imagine", {"prompt": "red heart", "private": True}, EPHEMERAL),
        ("history", {}, EPHEMERAL),
    ],
)
async def test_what_takes_too_long_is_acknowledged_first_and_counted(
    played_discord: Any,
    general: Any,
    anna: Any,
    door: Door,
    metrics: Metrics,
    command: str,
    options: dict[str, Any],
    flags: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interactions, "ACK_WITHIN_S", 0.0)
    door.open.clear()
    asked = await played_discord.slash(anna, general, command, **options)
    body = await asked.acknowledged(within_s=1)
    assert body["type"] == DEFERRED
    assert (body.get("data") or {}).get("flags", 0) == flags
    assert _late(metrics) == 1
    door.open.set()
    message = await asked.answer(lambda m: m.text)
    assert message.text


async def test_an_interaction_that_comes_twice_is_taken_once(
    played_discord: Any, general: Any, anna: Any, workshop: Any, door: Door
) -> None:
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
    await asked.acknowledged(within_s=1)
    await played_discord.redeliver(asked)
    other = await played_discord.slash(anna, general, "ping")
    await other.acknowledged(within_s=1)
    assert [one.command for one in door.invocations] == ["imagine", "ping"]
    assert len(workshop.jobs) == 1


async def test_a_form_that_comes_too_late_for_discord_is_offered_by_a_button(
    played_discord: Any,
    general: Any,
    anna: Any,
    door: Door,
    workshop: Any,
    finished: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = await finished(anna, general, "imagine", prompt="red heart")
    monkeypatch.setattr(interactions, "ACK_WITHIN_S", 0.0)
    door.open.clear()
    asked = await played_discord.press(message, "✏️ Remix", anna)
    await asked.acknowledged(within_s=1)
    door.open.set()
    offered = await asked.follow_up(lambda m: m.buttons)
    monkeypatch.undo()
    opened = await played_discord.press(offered, "Open the form", anna)
    assert (await opened.acknowledged(within_s=1))["type"] == MODAL


async def test_attached_pictures_reach_the_command(
    played_discord: Any, general: Any, anna: Any, door: Door, workshop: Any
) -> None:
    picture = _png()
    asked = await played_discord.slash(
        anna, general, "upscale", image=Upload(picture, "cat.png", "image/png")
    )
    assert (await asked.acknowledged(within_s=1))["type"] == DEFERRED
    (invocation,) = door.invocations
    assert invocation.uploads["image"].data == picture
    assert len(workshop.jobs) == 1


async def test_a_file_that_is_no_picture_is_refused_before_anybody_reads_it(
    played_discord: Any, general: Any, anna: Any, door: Door
) -> None:
    asked = await played_discord.slash(
        anna, general, "upscale", image=Upload(b"MZ", "cat.exe", "application/x-msdownload")
    )
    body = await asked.acknowledged(within_s=1)
    assert (body["type"], body["data"]["flags"] & EPHEMERAL) == (MESSAGE, EPHEMERAL)
    assert "application/x-msdownload" in (await asked.answer()).text
    assert door.invocations == []


async def test_a_picture_of_the_past_is_named_in_words(
    played_discord: Any, general: Any, anna: Any, finished: Any, workshop: Any
) -> None:
    await finished(anna, general, "imagine", prompt="red heart")
    asked = await played_discord.slash(anna, general, "upscale", image_from="last#2")
    assert (await asked.acknowledged(within_s=1))["type"] == DEFERRED
    assert len(workshop.jobs) == 2


# --- as the community wants it ---


async def _decides(played_discord: Any, general: Any, **settings: Any) -> None:
    chief = played_discord.member(general.guild, "chief", permissions=1 << 5)
    asked = await played_discord.slash(chief, general, "settings", **settings)
    await asked.acknowledged(within_s=1)


async def test_a_community_speaks_its_own_language_whoever_asks(
    played_discord: Any, general: Any, anna: Any, workshop: Any
) -> None:
    await _decides(played_discord, general, language="zh")
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
    await asked.acknowledged(within_s=1)
    (job,) = workshop.jobs
    assert workshop.store.tables.deliveries[job.id].address["locale"] == "zh"
    waiting = await asked.answer(lambda m: m.buttons)
    assert "取消" in {button["label"] for button in waiting.buttons}


async def test_where_answers_are_for_the_member_alone_so_is_a_late_acknowledgement(
    played_discord: Any,
    general: Any,
    anna: Any,
    door: Door,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await _decides(played_discord, general, ephemeral="on")
    monkeypatch.setattr(interactions, "ACK_WITHIN_S", 0.0)
    door.open.clear()
    asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
    body = await asked.acknowledged(within_s=1)
    assert (body["type"], body["data"]["flags"]) == (DEFERRED, EPHEMERAL)
    door.open.set()


# --- who asks, and where ---


async def test_a_direct_message_is_a_place_of_ones_own(
    played_discord: Any, platform: DiscordPlatform, door: Door
) -> None:
    ben = played_discord.user("ben", locale="zh-CN")
    asked = await played_discord.slash(ben, played_discord.dm(ben), "ping")
    await asked.acknowledged(within_s=1)
    origin = door.invocations[-1].origin
    assert (origin.personal, origin.community_external_id) == (True, ben.id)
    assert origin.locale == "zh"


async def test_a_guild_is_known_by_its_name_its_channels_by_who_may_enter(
    played_discord: Any, general: Any, anna: Any, door: Door
) -> None:
    grown_up = played_discord.channel(general.guild, "grown-ups", nsfw=True)
    for channel in (general, grown_up):
        asked = await played_discord.slash(anna, channel, "ping")
        await asked.acknowledged(within_s=1)
    origins = [one.origin for one in door.invocations]
    assert [one.community_name for one in origins] == ["Cats", "Cats"]
    assert [one.age_restricted for one in origins] == [False, True]
    assert [one.channel_external_id for one in origins] == [general.id, grown_up.id]


async def test_moderators_are_those_whom_the_guild_lets_manage_it(
    played_discord: Any, general: Any, door: Door
) -> None:
    role = played_discord.role(general.guild, "Painters")
    for permissions, expected in ((0, Role.MEMBER), (1 << 5, Role.MODERATOR)):
        member = played_discord.member(
            general.guild, f"m{permissions}", permissions=permissions, roles=[role]
        )
        asked = await played_discord.slash(member, general, "ping")
        await asked.acknowledged(within_s=1)
        origin = door.invocations[-1].origin
        assert origin.role is expected
        assert role.id in origin.platform_roles


# --- what hangs on messages ---


async def test_the_menu_of_a_message_finds_its_job(
    played_discord: Any, general: Any, anna: Any, finished: Any, door: Door, workshop: Any
) -> None:
    message = await finished(anna, general, "imagine", prompt="red heart")
    asked = await played_discord.menu(message, "Upscale", anna)
    await asked.acknowledged(within_s=1)
    action = workshop.services.signer.button("upscale", workshop.jobs[0].id)
    assert door.invocations[-1].action == action


async def test_the_menu_of_somebody_elses_message_says_so(
    played_discord: Any, general: Any, anna: Any, door: Door
) -> None:
    said = await played_discord.say(anna, general, "hello")
    asked = await played_discord.menu(said, "Report", anna)
    body = await asked.acknowledged(within_s=1)
    assert body["data"]["flags"] & EPHEMERAL
    assert "not an answer of the studio" in (await asked.answer()).text
    assert door.invocations == []


async def test_a_form_is_sent_back_as_the_command_it_is_for(
    played_discord: Any, general: Any, anna: Any, finished: Any, door: Door, workshop: Any
) -> None:
    message = await finished(anna, general, "imagine", prompt="red heart", count=2, seed=7)
    opened = await played_discord.press(message, "✏️ Remix", anna)
    await opened.modal()
    sent = await played_discord.submit(opened, {"prompt": "blue heart"}, anna)
    assert (await sent.acknowledged(within_s=1))["type"] == DEFERRED
    invocation = door.invocations[-1]
    assert invocation.command == "imagine"
    assert invocation.options["prompt"] == "blue heart"
    assert workshop.jobs[-1].count == 2


async def test_what_an_invocation_breaks_is_one_sentence_and_the_next_one_works(
    played_discord: Any, general: Any, anna: Any, door: Door
) -> None:
    asked = await played_discord.slash(anna, general, "cancel", job="nonsense")
    body = await asked.acknowledged(within_s=1)
    assert body["data"]["flags"] & EPHEMERAL
    assert (await (await played_discord.slash(anna, general, "ping")).acknowledged())["type"] == 4


async def test_at_the_end_what_was_begun_is_finished(
    played_discord: Any, workshop: Any, door: Door, connected: Any
) -> None:
    async with connected(workshop, door.handle) as platform:
        guild = next(iter(played_discord.world.guilds.values()))
        anna, general = played_discord.member(guild, "anna"), played_discord.channel(guild, "x")
        door.open.clear()
        asked = await played_discord.slash(anna, general, "imagine", prompt="red heart")
        await asked.acknowledged(within_s=2)
        asyncio.get_running_loop().call_later(0.05, door.open.set)
    assert len(workshop.jobs) == 1
    with pytest.raises(Exception, match="not connected"):
        platform.client()


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "PNG")
    return buffer.getvalue()
