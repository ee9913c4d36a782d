"""Make emoji, Make sticker, Add to soundboard: what was made here becomes the community's own.

The buttons hang under answers in guilds. A press opens a form (which one, what name); sent, the
thing is made to fit (`services.fitting`) and given to the guild. Whoever may create expressions
there may, and only with what they may see; the bot needs the same permission. This is Discord's
alone, so the router never hears of it. Used by `interactions`; the courier hangs the buttons.
Source: Discord's documentation, resources/emoji, sticker and soundboard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import discord
import structlog
from discord import InteractionType

from bot.core import answers
from bot.core.chat import Button, Reply, Text
from bot.core.domain import Artifact, Job
from bot.core.i18n import replies
from bot.core.signing import Signer
from bot.errors import BadOption, NotAllowed, NotFound, UserError
from bot.platforms.discord import reading
from bot.platforms.discord.components import Component
from bot.platforms.discord.expression_kinds import BOT_MAY_NOT, KINDS, Kind, created
from bot.platforms.discord.packing import kind, pieces
from bot.platforms.discord.trouble import ERRORS
from generators.artifacts import ArtifactMissing

if TYPE_CHECKING:
    from bot.platforms.discord.courier import Courier
    from bot.services import Services

log = structlog.get_logger(__name__)

_MODAL, _LABEL, _SELECT, _TEXT_INPUT, _SHORT = 9, 18, 3, 4, 1
_WHICH, _NAME = "which", "name"
_MAX_CHOICES: Final = 25
_MIN_NAME: Final = 2

_GUILD_ONLY = Text(
    en="That works only in a server that the studio's bot was added to.",
    zh="这只能在已添加工作室机器人的服务器中使用。",
)
_MEMBER_MAY_NOT = Text(
    en="For that you need the permission “Create Expressions” in this server.",
    zh="你需要在这个服务器拥有“创建表情”权限。",
)
_BAD_NAME = Text(
    en="A name has {least} to {most} characters{only}, not “{name}”.",
    zh="名称需要 {least} 到 {most} 个字符{only}，不能是“{name}”。",
)
_LETTERS_ONLY = Text(en=", letters a-z, digits and _ only", zh="，只能用字母 a-z、数字和 _")
_WHICH_LABEL = Text(en="Which one", zh="哪一个")
_NAME_LABEL = Text(en="Name", zh="名称")


def rows(signer: Signer, media: Iterable[Artifact], locale: str) -> tuple[answers.Row, ...]:
    """The buttons that fit what an answer shows, for answers in a guild."""
    found = list(pieces(media))
    if not found:
        return ()
    job_id = found[0].main.job_id
    row = tuple(
        Button(
            label=one.button.in_(locale),
            data=signer.button(name, job_id),
            description=one.says.in_(locale),
            among_others=True,
        )
        for name, one in KINDS.items()
        if _of_kind(one, media)
    )
    return (row,) if row else ()


class Expressions:
    """Answers the presses of those buttons and the forms that they open. Keeps nothing."""

    def __init__(self, services: Services, courier: Courier) -> None:
        self._services, self._courier = services, courier

    def takes(self, interaction: discord.Interaction) -> bool:
        """Whether a press or a form is one of ours, by its id alone."""
        pressed = interaction.type in {InteractionType.component, InteractionType.modal_submit}
        name = str(reading.payload(interaction).get("custom_id", "")).partition(":")[0]
        return pressed and name in KINDS

    async def answer(self, interaction: discord.Interaction, locale: str) -> None:
        """Open the form, or make what it asks for. Refusals are said to the member."""
        try:
            if interaction.type is InteractionType.component:
                await self._open(interaction, locale)
                return
            await self._acknowledge(interaction)
            reply = Reply(text=await self._make(interaction, locale), ephemeral=True)
        except UserError as error:
            reply = Reply(text=error.text(locale), error=True, ephemeral=True)
        await self._courier.show(
            interaction, reply, locale=locale, limit_bytes=interaction.filesize_limit
        )

    async def _open(self, interaction: discord.Interaction, locale: str) -> None:
        data = str(reading.payload(interaction)["custom_id"])
        name, job_id = self._services.signer.read(data)
        _guild(interaction)
        job, media = await self._media(interaction, KINDS[name], job_id)
        form = _form(KINDS[name], data, job, len(media), locale)
        # Not through discord.py, which would keep the form in memory until it is sent.
        body = {"type": _MODAL, "data": form}
        try:
            await self._courier.wire.respond(str(interaction.id), interaction.token, body)
        except ERRORS as error:
            log.warning("a form could not be opened", error=repr(error))

    async def _acknowledge(self, interaction: discord.Interaction) -> None:
        interaction.extras["ephemeral"] = True
        await interaction.response.defer(ephemeral=True, thinking=True)

    async def _make(self, interaction: discord.Interaction, locale: str) -> str:
        """The sentence that says what there is now. Raises UserError."""
        payload = reading.payload(interaction)
        name, job_id = self._services.signer.read(str(payload["custom_id"]))
        wanted, guild = KINDS[name], _guild(interaction)
        given = _given(payload)
        called = _name(wanted, given.get(_NAME, ""))
        _, media = await self._media(interaction, wanted, job_id)
        number = given.get(_WHICH) or "1"
        if not number.isdecimal() or not 1 <= int(number) <= len(media):
            raise NotFound(replies.GONE.en, replies.GONE.zh)
        try:
            data = await self._services.artifacts.get(media[int(number) - 1].key)
        except ArtifactMissing:
            raise NotFound(replies.GONE.en, replies.GONE.zh) from None
        made = await wanted.fit(data)
        reason = f"Made in Atelier; asked for by {interaction.user} ({interaction.user.id})"
        await created(wanted.create(guild, called, made, reason))
        log.info("a community was given an expression", what=name, community=str(guild.id))
        return wanted.done.in_(locale).format(name=called)

    async def _media(
        self, interaction: discord.Interaction, wanted: Kind, job_id: str
    ) -> tuple[Job, Sequence[Artifact]]:
        """What of the job can be made into it, if the member may see the job."""
        origin = reading.origin(interaction)
        job, artifacts = await self._services.jobs.for_member(origin, job_id)
        media = _of_kind(wanted, answers.media_of(artifacts))
        if not media:
            raise NotFound(replies.GONE.en, replies.GONE.zh)
        return job, media


def _guild(interaction: discord.Interaction) -> discord.Guild:
    """The guild, if the member and the bot may create expressions there. Raises NotAllowed."""
    guild = interaction.guild
    if guild is None or not interaction.is_guild_integration():
        raise NotAllowed(_GUILD_ONLY.en, _GUILD_ONLY.zh)
    for permissions, text in (
        (interaction.permissions, _MEMBER_MAY_NOT),
        (interaction.app_permissions, BOT_MAY_NOT),
    ):
        if not (
            permissions.create_expressions
            or permissions.manage_expressions
            or permissions.administrator
        ):
            raise NotAllowed(text.en, text.zh)
    return guild


def _of_kind(wanted: Kind, media: Iterable[Artifact]) -> list[Artifact]:
    """The artifacts it can be made of, one for each thing: of a video its GIF."""
    found = []
    for piece in pieces(media):
        if piece.kind not in wanted.media:
            continue
        gifs = [one for one in piece.renditions if one.mime == "image/gif"]
        if kind(piece.main) != "video":
            found.append(piece.main)
        elif gifs:
            found.append(gifs[0])
    return found[:_MAX_CHOICES]


def _form(wanted: Kind, data: str, job: Job, count: int, locale: str) -> dict[str, Any]:
    """A modal: which one, where there are several, and what it is to be called."""
    fields: list[Component] = []
    if count > 1:
        options = [
            {"value": str(n), "label": wanted.item.in_(locale).format(n=n), "default": n == 1}
            for n in range(1, count + 1)
        ]
        select = {"type": _SELECT, "custom_id": _WHICH, "options": options, "required": True}
        fields.append(_labelled(_WHICH_LABEL.in_(locale), select))
    name: Component = {
        "type": _TEXT_INPUT,
        "custom_id": _NAME,
        "style": _SHORT,
        "min_length": _MIN_NAME,
        "max_length": wanted.most,
        "required": True,
        "value": _suggested(wanted, job),
    }
    fields.append(_labelled(_NAME_LABEL.in_(locale), name))
    return {"custom_id": data, "title": wanted.button.in_(locale), "components": fields}


def _labelled(label: str, component: Component) -> Component:
    return {"type": _LABEL, "label": label, "component": component}


def _suggested(wanted: Kind, job: Job) -> str:
    """A name from what the member asked for, else from the command."""
    title = answers.prompt_of(job)
    if wanted.letters_only:
        title = "_".join(re.findall(r"[a-z0-9]+", title.casefold()))
    name = " ".join(title.split())[: wanted.most].strip("_ ")
    return name if len(name) >= _MIN_NAME else job.command


def _name(wanted: Kind, typed: str) -> str:
    """The name as Discord takes it. Raises BadOption."""
    name = " ".join(typed.split())
    if wanted.letters_only:
        name = re.sub(r"[\s:-]+", "_", name.strip(": "))
    fits = _MIN_NAME <= len(name) <= wanted.most
    if fits and (not wanted.letters_only or re.fullmatch(r"[A-Za-z0-9_]+", name)):
        return name
    only = _LETTERS_ONLY if wanted.letters_only else Text(en="", zh="")
    told = {"least": _MIN_NAME, "most": wanted.most, "name": name[:50]}
    raise BadOption(
        _BAD_NAME.en.format(**told, only=only.en), _BAD_NAME.zh.format(**told, only=only.zh)
    )


def _given(payload: Mapping[str, Any]) -> dict[str, str]:
    """What was typed and chosen, by field."""
    given: dict[str, str] = {}
    for label in payload.get("components") or ():
        part = label.get("component") or {}
        value = part.get("value") or next(iter(part.get("values") or ()), "")
        given[str(part.get("custom_id", ""))] = str(value)
    return given
