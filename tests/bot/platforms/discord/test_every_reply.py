"""What every command and button answers, drawn for Discord in each language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from discord_rules import message_complaints, modal_complaints

from bot.core.chat import Button, Reply, Role
from bot.errors import LANGUAGES
from bot.platforms.discord import components, modals
from bot.platforms.discord.drawing import Drawing
from bot.platforms.discord.message import Message

MIB = 1024 * 1024


async def drawn(studio: Any, reply: Reply, locale: str) -> Message | None:
    """The reply as a message or a modal that Discord takes."""
    signer = studio.services.signer
    if reply.form is not None:
        data = modals.modal(reply.form, signer, locale)
        assert data is not None, reply.form.command
        assert modal_complaints(data) == []
        return None
    services = studio.services
    drawing = Drawing(services.artifacts, signer, services.clock, "https://studio.example")
    place = drawing.place(locale, 10 * MIB, others=True, guild="guild", identity="anna")
    message = await drawing.draw(reply, place)
    assert message_complaints(message) == []
    return message


def buttons_of(message: Message) -> list[Mapping[str, Any]]:
    return [one for one in components.walk(message.components) if one["type"] == 2]


def offered(reply: Reply) -> list[Button]:
    rows = [*reply.buttons, *(row for card in reply.cards for row in card.buttons)]
    return [one for row in rows for one in row]


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_every_example_of_every_command(workshop: Any, locale: str) -> None:
    anna = workshop.in_guild("anna", role=Role.MODERATOR, locale=locale)
    lines = [line for command in workshop.commands.values() for line in command.examples]
    assert len(lines) > 20

    for line in lines:
        reply = await workshop.say(line, by=anna)
        message = await drawn(workshop, reply, locale)
        assert message is not None
        if reply.ticket is not None:
            await workshop.finish(reply.ticket.job_id)


@pytest.mark.parametrize("locale", LANGUAGES)
async def test_every_button_of_answers_and_lists(workshop: Any, locale: str) -> None:
    anna = workshop.in_guild("anna", role=Role.MODERATOR, locale=locale)
    for n in range(6):
        await workshop.made(f"/imagine red heart {n}", by=anna)
    job = await workshop.made("/imagine a *blue* heart ||<@1>||", by=anna)
    replies = [
        await workshop.present(job.id, by=anna),
        await workshop.say("/history", by=anna),
        await workshop.press("report", job.id, by=workshop.in_guild("bert", locale=locale)),
    ]

    for reply in replies:
        message = await drawn(workshop, reply, locale)
        if message is None:
            continue
        shown = {one["custom_id"] for one in buttons_of(message) if "custom_id" in one}
        assert {one.data for one in offered(reply)} <= shown, "each button is there"
    for action in ("u1", "v4", "reroll", "remix", "fav", "show", "details", "copy", "upscale"):
        await drawn(workshop, await workshop.press(action, job.id, by=anna), locale)


async def test_cards_show_a_picture_each(workshop: Any) -> None:
    anna = workshop.in_guild("anna")
    for n in range(5):
        await workshop.made(f"/imagine red heart {n}", by=anna)

    message = await drawn(workshop, await workshop.say("/history", by=anna), "en")

    assert message is not None
    assert len(message.files) == 5


@pytest.mark.parametrize(
    ("media", "files"),
    [
        ([("image/png", "item")] * 4 + [("image/png", "grid")], 4),
        ([("audio/wav", "item"), ("audio/ogg", "rendition"), ("image/png", "plot")], 2),
        ([("video/mp4", "item"), ("image/gif", "rendition"), ("video/webm", "rendition")], 1),
        ([("application/zip", "item")], 1),
    ],
)
async def test_every_kind_of_media(workshop: Any, media: list[tuple[str, str]], files: int) -> None:
    anna = workshop.in_guild("anna")
    job = workshop.job(await workshop.say("/imagine red heart", by=anna))
    await workshop.finish_with(job.id, *media)

    message = await drawn(workshop, await workshop.present(job.id, by=anna), "en")

    assert message is not None
    assert len(message.files) == files
