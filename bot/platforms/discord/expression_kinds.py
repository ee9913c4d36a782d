"""What a guild can be given of its own: emoji, stickers, soundboard sounds; how, and what Discord
says when it does not take them. Used by `expressions` only.
Source: Discord's documentation, resources/emoji, sticker, soundboard and topics/opcodes.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import discord
import structlog

from bot.core.chat import Text
from bot.errors import UserError
from bot.services import fitting
from bot.services.fitting import Fitted

log = structlog.get_logger(__name__)

CREATE_S: Final = 40.0
"""How long Discord may take: its limits on emoji are for an hour, and nobody waits that long."""

_STICKER_TAG: Final = "✨"  # what Discord suggests the sticker for; it demands one

BOT_MAY_NOT = Text(
    en="I am not allowed to do that here: my role needs the permission “Create Expressions”. "
    "Somebody who manages the server can give it to me.",
    zh="我没有权限：我的身份组需要“创建表情”权限，服务器的管理者可以授予。",
)
_TOO_SLOW = Text(
    en="Discord did not answer in time. It allows only so many new ones an hour: look whether it "
    "is there, and try again later if not.",
    zh="Discord 没有及时回应。每小时可新建的数量有限：请看看是否已添加成功，若没有请稍后再试。",
)
_REFUSED = Text(en="Discord did not take it: {why}", zh="Discord 没有接受：{why}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that a guild can be given: of which media, how it is made to fit, how created."""

    button: Text
    says: Text
    done: Text
    item: Text
    media: frozenset[str]  # kinds of pieces it is made of
    most: int  # characters of a name
    fit: Callable[[bytes], Awaitable[Fitted]]
    create: Callable[[discord.Guild, str, Fitted, str], Awaitable[Any]]
    letters_only: bool = False


async def _create_emoji(guild: discord.Guild, name: str, made: Fitted, reason: str) -> None:
    await guild.create_custom_emoji(name=name, image=made.data, reason=reason)


async def _create_sticker(guild: discord.Guild, name: str, made: Fitted, reason: str) -> None:
    file = discord.File(io.BytesIO(made.data), filename=made.filename)
    await guild.create_sticker(
        name=name, description="", emoji=_STICKER_TAG, file=file, reason=reason
    )


async def _create_sound(guild: discord.Guild, name: str, made: Fitted, reason: str) -> None:
    await guild.create_soundboard_sound(name=name, sound=made.data, reason=reason)


KINDS: Final[Mapping[str, Kind]] = {
    "emoji": Kind(
        button=Text(en="Make emoji", zh="做成表情"),
        says=Text(en="Add it to this server's emoji", zh="添加为本服务器的表情"),
        done=Text(en="This server has a new emoji now: :{name}:", zh="本服务器有了新表情 :{name}:"),
        item=Text(en="Picture {n}", zh="图片 {n}"),
        media=frozenset({"image", "video"}),
        most=32,
        fit=fitting.emoji,
        create=_create_emoji,
        letters_only=True,
    ),
    "sticker": Kind(
        button=Text(en="Make sticker", zh="做成贴纸"),
        says=Text(en="Add it to this server's stickers", zh="添加为本服务器的贴纸"),
        done=Text(en="This server has a new sticker now: {name}", zh="本服务器有了新贴纸：{name}"),
        item=Text(en="Picture {n}", zh="图片 {n}"),
        media=frozenset({"image", "video"}),
        most=30,
        fit=fitting.sticker,
        create=_create_sticker,
    ),
    "soundboard": Kind(
        button=Text(en="Add to soundboard", zh="加入音效板"),
        says=Text(en="Add it to this server's soundboard", zh="添加到本服务器的音效板"),
        done=Text(en="It is on the soundboard now: {name}", zh="已加入音效板：{name}"),
        item=Text(en="Sound {n}", zh="声音 {n}"),
        media=frozenset({"audio"}),
        most=32,
        fit=fitting.sound,
        create=_create_sound,
    ),
}

# What Discord says no with, by its code (topics/opcodes-and-status-codes).
_REFUSALS: Final[Mapping[int, Text]] = {
    **dict.fromkeys(
        (30008, 30018),
        Text(
            en="All emoji slots of this server are taken. Delete one first, or boost the server.",
            zh="本服务器的表情栏位已满。请先删除一个，或为服务器助力。",
        ),
    ),
    30039: Text(
        en="All sticker slots of this server are taken. Delete one first, or boost the server.",
        zh="本服务器的贴纸栏位已满。请先删除一个，或为服务器助力。",
    ),
    30045: Text(
        en="The soundboard of this server is full. Delete a sound first, or boost the server.",
        zh="本服务器的音效板已满。请先删除一个，或为服务器助力。",
    ),
    **dict.fromkeys((50001, 50013), BOT_MAY_NOT),
}


async def created(request: Awaitable[Any]) -> None:
    """Wait for Discord. Raises UserError with what it said."""
    try:
        async with asyncio.timeout(CREATE_S):
            await request
    except (TimeoutError, aiohttp.ClientError, discord.DiscordServerError):
        raise UserError(_TOO_SLOW.en, _TOO_SLOW.zh) from None
    except discord.HTTPException as error:
        text = _REFUSALS.get(error.code) or _REFUSED.format(why=error.text or error.status)
        log.warning("an expression was refused", code=error.code, error=error.text)
        raise UserError(text.en, text.zh) from error
