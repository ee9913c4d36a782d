"""A reply as the answer to an interaction that is here now, whatever was said to it before.

An interaction takes one first response within three seconds; everything after is an edit of that or
a follow-up. What may take longer than the deadline (files) is deferred first. Used by `courier`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import discord
import structlog
from discord import InteractionResponseType

from bot.core.chat import Reply, Text, Update
from bot.errors import DeliveryGone, DeliveryRetry
from bot.platforms.discord import cards, modals, reading, trouble
from bot.platforms.discord.drawing import Drawing
from bot.platforms.discord.message import EPHEMERAL, Message, Place
from bot.platforms.discord.rendering import as_card
from bot.platforms.discord.trouble import Meaning
from bot.platforms.discord.wire import Wire

if TYPE_CHECKING:
    from bot.core.signing import Signer
    from bot.platforms.discord.acknowledged import Acknowledged
    from bot.platforms.discord.progress import WaitingMessages

log = structlog.get_logger(__name__)

T = TypeVar("T")
Direct = Callable[[str, Reply, str, str], Awaitable[str]]
"""Sends a direct message: to whom, what, with which nonce, in which language."""

_MESSAGE, _DEFER, _DEFER_UPDATE, _UPDATE, _MODAL = 4, 5, 6, 7, 9
_FIRST_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.25  # all tries of a first response must fit into its three seconds
_LATER_TRIES: Final = 4
_LATER_PAUSE_S: Final = 0.5
_MAX_WAIT_S: Final = 30.0

_TYPE_IT = Text(
    en="Discord cannot show this form. Please type it: /{command}",
    zh="Discord 无法显示这个表单，请直接输入：/{command}",
)
_SENT = Text(en="I have sent it to you as a direct message.", zh="已通过私信发送给你。")
_BY_DIRECT = Text(
    en="The answer will reach you as a direct message.", zh="结果会通过私信发送给你。"
)


@dataclass(slots=True)
class _Case:
    """One interaction and what was said to it: None, or the type of the first response."""

    interaction: discord.Interaction
    locale: str
    limit_bytes: int
    said: int | None

    @property
    def token(self) -> str:
        return self.interaction.token

    @property
    def to(self) -> tuple[str, str]:
        """What names the answers to this interaction: application and token."""
        return str(self.interaction.application_id), self.token

    @property
    def message(self) -> discord.Message | None:
        """The message whose button was pressed; a menu's target is not ours to change."""
        return self.interaction.message

    @property
    def seen_by_all(self) -> bool:
        """Whether the acknowledgement promised an answer that everybody sees."""
        return self.said == _DEFER and not self.interaction.extras.get("ephemeral")


class Showing:
    """Answers interactions."""

    def __init__(
        self,
        wire: Wire,
        drawing: Drawing,
        waiting: WaitingMessages,
        acknowledged: Acknowledged,
        signer: Signer,
        direct: Direct,
    ) -> None:
        self._wire, self._drawing, self._waiting = wire, drawing, waiting
        self._acknowledged, self._signer, self._direct = acknowledged, signer, direct

    async def show(
        self, interaction: discord.Interaction, reply: Reply, locale: str, limit_bytes: int
    ) -> None:
        """Show the reply now. Raises what a request raises, once repeating it is no use."""
        said = interaction.response.type
        case = _Case(interaction, locale, limit_bytes, None if said is None else said.value)
        if said is not None:
            self._acknowledged.note(case.token)
        if reply.form is not None:
            await self._form(case, reply)
        elif reply.ticket is not None:
            await self._ticket(case, reply)
        elif reply.removes_message and case.message is not None:
            await self._remove(case, case.message, reply)
        elif reply.replaces_message and case.message is not None:
            await self._replace(case, case.message, reply)
        elif reply.direct:
            await self._copy(case, reply)
        else:
            await self._say(case, reply)

    async def acknowledge(
        self, interaction: discord.Interaction, *, ephemeral: bool, edits: bool
    ) -> None:
        """Show that we are at it, where the reply takes longer than Discord waits. `edits`: the
        message that the button hangs on will be the answer."""
        interaction.extras["ephemeral"] = ephemeral
        case = _Case(interaction, "", 0, None)
        if edits:
            await self._respond(case, _DEFER_UPDATE)
        else:
            await self._respond(case, _DEFER, {"flags": EPHEMERAL} if ephemeral else None)

    # --- each kind of reply ---

    async def _form(self, case: _Case, reply: Reply) -> None:
        form = reply.form
        assert form is not None  # noqa: S101 (who calls has looked)
        data = modals.modal(form, self._signer, case.locale)
        if data is None or case.said is not None:
            text = _TYPE_IT.in_(case.locale).format(command=form.command)
            await self._say(case, Reply(text=text, ephemeral=True))
            return
        await self._respond(case, _MODAL, data)

    async def _ticket(self, case: _Case, reply: Reply) -> None:
        """Acknowledge; where the job stands is the first news of its waiting message."""
        ticket = reply.ticket
        assert ticket is not None  # noqa: S101 (who calls has looked)
        if case.said is None:
            await self._respond(case, _DEFER, {"flags": EPHEMERAL} if reply.ephemeral else None)
        elif reply.ephemeral and case.seen_by_all:
            text = f"{reply.text} {_BY_DIRECT.in_(case.locale)}"
            await self._say(case, replace(reply, ticket=None, text=text))
            return
        address = reading.address(case.interaction, ephemeral=reply.ephemeral)
        address = replace(address, locale=case.locale)  # the community's, where it has one
        news = Update(ticket.job_id, "queued", position=ticket.position, eta_s=ticket.eta_s)
        self._waiting.tell(address, news)

    async def _remove(self, case: _Case, message: discord.Message, reply: Reply) -> None:
        """Take the message away, or the card of it that the button hangs on."""
        parts = cards.parts_of(message)
        number = cards.card_of(parts, _pressed(case.interaction))
        rest = cards.with_card(parts, number, ()) if number is not None else []
        if number is not None and cards.has_cards(rest):
            await self._change(case, message, cards.changed(rest, cards.files_of(message).values()))
            return
        if case.said is None:
            await self._respond(case, _DEFER_UPDATE)
        try:
            if case.said == _DEFER_UPDATE:
                await self._later(lambda: self._wire.remove(*case.to))
            else:  # `@original` is the promise of another answer
                where = str(message.channel.id), str(message.id)
                await self._later(lambda: self._wire.remove_own(*where))
        except trouble.ERRORS as error:
            # With the answer that it shows, the message itself was taken back already.
            if trouble.meaning_for_token(error) is not Meaning.MESSAGE_GONE:
                log.info("a message could not be removed", error=repr(error))
                await self._say(case, reply)
                return
        if case.said == _DEFER:
            await self._say(case, reply)

    async def _replace(self, case: _Case, message: discord.Message, reply: Reply) -> None:
        """Draw the message anew, with the files that it has; of a card the button that was pressed,
        or all of it where that button is no more."""
        parts, pressed = cards.parts_of(message), _pressed(case.interaction)
        files = cards.files_of(message)
        place = self._place(case, alone=message.flags.ephemeral)
        number = cards.card_of(parts, pressed)
        if number is not None:
            new = cards.counterpart(pressed, reply.buttons)
            if new is not None:
                parts = cards.with_button(parts, pressed, new)
            else:
                parts = cards.with_card(parts, number, as_card(number, reply, place))
            await self._change(case, message, cards.changed(parts, files.values()))
            return
        drawn = await self._drawing.draw(reply, place, kept=files)
        if drawn.new_files and case.said is None:
            await self._respond(case, _DEFER_UPDATE)
        await self._change(case, message, drawn)

    async def _copy(self, case: _Case, reply: Reply) -> None:
        """A direct message, to keep; where there is none, an answer that only the member sees."""
        if case.said is None:
            await self._respond(case, _DEFER, {"flags": EPHEMERAL})
            case.interaction.extras["ephemeral"] = True
        nonce = f"c{case.interaction.id}"[:25]
        try:
            await self._direct(str(case.interaction.user.id), reply, nonce, case.locale)
        except (DeliveryGone, DeliveryRetry) as error:
            log.info("a private copy could not be sent", error=str(error))
            await self._say(case, replace(reply, direct=False, ephemeral=True))
            return
        await self._say(case, Reply(text=_SENT.in_(case.locale), ephemeral=True))

    async def _say(self, case: _Case, reply: Reply) -> None:
        """A message of its own: the first response, what a deferred one becomes, or one more."""
        if case.said is None and (reply.media or any(card.media for card in reply.cards)):
            # Reading, fitting and sending files may take longer than a first response may.
            await self._respond(case, _DEFER, {"flags": EPHEMERAL} if reply.ephemeral else None)
            case.interaction.extras["ephemeral"] = reply.ephemeral
        alone = reply.ephemeral or (case.said == _DEFER and not case.seen_by_all)
        message = await self._drawing.draw(reply, self._place(case, alone=alone))
        if case.said is None:
            await self._respond(case, _MESSAGE, message.payload(ephemeral=reply.ephemeral))
        elif case.said == _DEFER and not (reply.ephemeral and case.seen_by_all):
            await self._edit(case, message, reply)
        else:
            if case.said == _DEFER:  # others would see it: what they were promised goes away first
                await self._later(lambda: self._wire.remove(*case.to))
            alone = reply.ephemeral
            await self._later(lambda: self._wire.follow(*case.to, message, ephemeral=alone))

    # --- requests ---

    async def _change(self, case: _Case, message: discord.Message, drawn: Message) -> None:
        """Edit the message that the button hangs on."""
        if case.said is None:
            await self._respond(case, _UPDATE, drawn.payload())
        elif case.said == _DEFER_UPDATE:
            await self._later(lambda: self._wire.edit(*case.to, drawn))
        else:
            where = str(message.channel.id), str(message.id)
            await self._later(lambda: self._wire.edit_own(*where, drawn))
            await self._later(lambda: self._wire.remove(*case.to))  # the promise of another answer

    async def _edit(self, case: _Case, message: Message, reply: Reply) -> None:
        """Make the promised answer of it; where Discord finds fault with that, of its words."""
        try:
            await self._later(lambda: self._wire.edit(*case.to, message))
        except trouble.ERRORS as error:
            if trouble.meaning_for_token(error) not in {Meaning.REFUSED, Meaning.TOO_LARGE}:
                raise
            log.error("a message was refused", error=repr(error))
            plain = self._drawing.plain(reply, self._place(case, alone=not case.seen_by_all))
            await self._later(lambda: self._wire.edit(*case.to, plain))

    async def _respond(self, case: _Case, kind: int, data: Mapping[str, Any] | None = None) -> None:
        """The first response. A try whose outcome nobody knows may have arrived: that it was
        acknowledged already is as good."""
        body: dict[str, Any] = {"type": kind}
        if data is not None:
            body["data"] = data
        for attempt in range(1, _FIRST_TRIES + 1):
            try:
                await self._wire.respond(str(case.interaction.id), case.token, body)
                break
            except trouble.ERRORS as error:
                if getattr(error, "code", 0) == trouble.ALREADY_ACKNOWLEDGED:
                    break
                later = trouble.meaning(error) is Meaning.LATER
                if not later or attempt == _FIRST_TRIES:
                    raise
                await asyncio.sleep(_FIRST_PAUSE_S)
        case.said = kind
        self._acknowledged.note(case.token)
        # Whoever asks the interaction afterwards (`response.is_done`) is told the truth.
        case.interaction.response._response_type = InteractionResponseType(kind)

    async def _later(self, send: Callable[[], Awaitable[T]]) -> T:
        """A request after the first response, repeated while that may help."""
        for attempt in range(1, _LATER_TRIES):
            try:
                return await send()
            except trouble.ERRORS as error:
                if trouble.meaning(error) is not Meaning.LATER:
                    raise
                pause_s = getattr(error, "retry_after", _LATER_PAUSE_S * 2**attempt)
                await asyncio.sleep(min(pause_s, _MAX_WAIT_S))
        return await send()

    def _place(self, case: _Case, *, alone: bool) -> Place:
        guild = case.interaction.guild_id
        return self._drawing.place(
            case.locale,
            case.limit_bytes,
            others=not alone and guild is not None,
            guild=None if guild is None else str(guild),
            identity=str(case.interaction.user.id),
        )


def _pressed(interaction: discord.Interaction) -> str:
    """The custom_id of the button that was pressed."""
    data: Any = interaction.data
    return str(data.get("custom_id", "")) if isinstance(data, dict) else ""
