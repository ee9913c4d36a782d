"""Brings replies to people on Discord: the one place that decides how and where a message is shown.

Used by `platform` and `interactions` (and by whoever serves interactions over HTTP). `show` answers
an interaction that is here now; `update` and `deliver` reach a waiting message later, perhaps after
a restart; `notify` and `direct` speak first.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import discord
import structlog

from bot.core.chat import Reply, Update
from bot.core.domain import Delivery
from bot.errors import DEFAULT_LANGUAGE, DeliveryGone, DeliveryRetry
from bot.platforms.discord import trouble, voice
from bot.platforms.discord.acknowledged import Acknowledged
from bot.platforms.discord.address import Address
from bot.platforms.discord.drawing import Drawing
from bot.platforms.discord.message import Message, Place
from bot.platforms.discord.packing import DEFAULT_LIMIT_BYTES
from bot.platforms.discord.progress import TOKEN_MARGIN, WaitingMessages
from bot.platforms.discord.settings import DiscordSettings
from bot.platforms.discord.showing import Showing
from bot.platforms.discord.trouble import Meaning
from bot.platforms.discord.voice import VoiceMessages
from bot.platforms.discord.wire import Wire

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)

K = TypeVar("K")
V = TypeVar("V")

_AND: Final = "+"  # between the ids of an answer's messages, as they are recorded
_REMEMBER: Final = 4096  # people's direct channels, and to whom a missing permission was told


@dataclass(frozen=True, slots=True)
class _Aim:
    """An answer and where it goes. `private`: nobody but the member may see it."""

    job_id: str
    reply: Reply
    address: Address
    private: bool

    def nonce(self, way: str) -> str:
        """The same for every try of this answer by this way; 23 characters."""
        job = base64.urlsafe_b64encode(bytes.fromhex(self.job_id)).decode().rstrip("=")
        return f"{way}{job}"


class Courier:
    """Shows replies. Keeps no state that matters: everything it needs later is in the address."""

    def __init__(
        self,
        services: Services,
        settings: DiscordSettings,
        client: Callable[[], discord.Client],
        *,
        gallery_url: str = "",
    ) -> None:
        """`client` gives the logged-in client of the moment (a new one after a reconnect).
        `gallery_url`: the address of the web studio for people, empty where there is none."""
        self._clock = services.clock
        self.wire = Wire(client, settings.api_base)
        self._drawing = Drawing(services.artifacts, services.signer, services.clock, gallery_url)
        self._acknowledged = Acknowledged(services.clock)
        self._waiting = WaitingMessages(
            self.wire, self._acknowledged, services.signer, services.clock
        )
        self._voices = VoiceMessages(self.wire, services.artifacts)
        self._showing = Showing(
            self.wire,
            self._drawing,
            self._waiting,
            self._acknowledged,
            services.signer,
            self._send_direct,
        )
        self._direct_channels: OrderedDict[str, str] = OrderedDict()
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def show(
        self, interaction: discord.Interaction, reply: Reply, *, locale: str, limit_bytes: int
    ) -> None:
        """Show the reply as the answer to this interaction: as its first response (a message, a
        modal, an edit of the message the button hangs on; a ticket is deferred) or, where it was
        acknowledged before, as an edit of `@original` or a follow-up. Never raises for what
        Discord refuses: that is logged. `interaction.extras["ephemeral"]` tells whether an
        acknowledgement was for the member alone."""
        try:
            await self._showing.show(interaction, reply, locale, limit_bytes)
        except trouble.ERRORS as error:
            log.warning("a reply could not be shown", error=repr(error))

    async def acknowledge(
        self, interaction: discord.Interaction, *, ephemeral: bool, edits: bool = False
    ) -> None:
        """Say that the reply takes a moment; `show` knows of it. Never raises: where another
        gateway was faster, or we were slower than Discord waits, what was asked for is done all the
        same, and a job's answer finds its own way."""
        try:
            await self._showing.acknowledge(interaction, ephemeral=ephemeral, edits=edits)
        except trouble.ERRORS as error:
            log.warning("an acknowledgement failed", error=repr(error))

    async def update(self, delivery: Delivery, update: Update) -> None:
        """Take news of a job for its waiting message. Returns at once; the newest news is shown
        when its turn comes, and nothing after `deliver` has begun."""
        self._waiting.tell(Address.from_json(delivery.address), update)

    async def deliver(self, delivery: Delivery, reply: Reply) -> str:
        """Show the final answer; returns the id of its message, and of the voice messages that
        follow it. Repeating it shows it once.

        Raises DeliveryRetry (5xx, 429, network) and DeliveryGone (nowhere left to show it)."""
        try:
            address = Address.from_json(delivery.address)
        except (KeyError, TypeError) as error:  # repeating would not complete it
            raise DeliveryGone("an answer without an address") from error
        private = address.ephemeral or reply.ephemeral or delivery.private
        aim = _Aim(delivery.job_id, reply, address, private)
        await self._waiting.close(delivery.job_id)
        note = ""
        try:
            sent = await self._by_token(aim)
            if sent is None and not private:
                sent = await self._in_channel(aim)
                await self._tidy(aim)
        except _Closed as closed:
            sent, note = None, self._apology(address, closed)
        if sent is None:
            nonce = aim.nonce("d")
            return await self._send_direct(address.identity, reply, nonce, address.locale, note)
        if not private and voice.has_sound(reply.media):
            limit_bytes = min(address.limit_bytes, DEFAULT_LIMIT_BYTES)
            voices = await self._voices.send(
                reply.media,
                address.channel_id,
                sent,
                nonce=aim.nonce("v"),
                limit_bytes=limit_bytes,
            )
            sent = _AND.join((sent, *voices))
        return sent

    async def withdraw(self, delivery: Delivery) -> None:
        """Remove a delivered answer, whichever way it went, and what was said out loud with it; one
        that is gone, or that only the member sees, is no error. Repeatable. Raises
        DeliveryRetry."""
        if delivery.message_id is None:
            return
        try:
            address = Address.from_json(delivery.address)
        except (KeyError, TypeError):
            return
        answer, *voices = delivery.message_id.split(_AND)
        for voice_id in voices:
            await self._remove(voice_id, address, direct=False)
        if not await self._remove(answer, address, direct=False):
            await self._remove(answer, address, direct=True)

    async def notify(
        self, channel_id: str, reply: Reply, *, nonce: str, locale: str = DEFAULT_LANGUAGE
    ) -> str:
        """A message of ours in a channel; returns its id. `nonce`: at most 25 characters; the same
        one within minutes posts nothing twice. Raises DeliveryRetry and DeliveryGone."""
        place = self._drawing.place(locale, DEFAULT_LIMIT_BYTES, others=True)
        try:
            return await self._post(channel_id, reply, place, nonce)
        except trouble.ERRORS as error:
            raise _last(error, "no message can be posted in this channel") from error

    async def direct(
        self, identity: str, reply: Reply, *, nonce: str, locale: str = DEFAULT_LANGUAGE
    ) -> str:
        """A direct message to a person; returns its id. Raises DeliveryRetry and DeliveryGone."""
        return await self._send_direct(identity, reply, nonce, locale)

    async def close(self) -> None:
        """End the edits that are on their way."""
        await self._waiting.stop()

    # --- the ways of an answer, one after the other ---

    async def _by_token(self, aim: _Aim) -> str | None:
        """As an edit of the waiting message; None where that is not possible any more."""
        address = aim.address
        if not address.lives(self._clock(), margin=TOKEN_MARGIN):
            return None
        await self._acknowledged.wait(address)
        to = address.application_id, address.token
        others = not aim.private and address.guild_id is not None
        place = self._place(address, address.limit_bytes, others=others)
        try:
            if aim.private and not address.ephemeral and await self.wire.seen_by_all(*to):
                # It was acknowledged before anybody knew that the answer is for one alone.
                await self.wire.remove(*to)
                return None
            return await self._fitted(aim.reply, place, lambda drawn: self.wire.edit(*to, drawn))
        except trouble.ERRORS as error:
            found = trouble.meaning_for_token(error)
            if found is Meaning.LATER:
                raise trouble.retry(error) from error
            log.info("the waiting message cannot be edited any more", error=repr(error))
            return None

    async def _in_channel(self, aim: _Aim) -> str:
        """As a message of ours where it was asked for, pinging who asked. Raises _Closed where we
        may not or cannot speak."""
        address = aim.address
        if not address.channel_id:
            raise _Closed(forbidden=False)
        others = address.guild_id is not None
        limit_bytes = min(address.limit_bytes, DEFAULT_LIMIT_BYTES)
        place = self._place(address, limit_bytes, others=others)
        mention = f"<@{address.identity}>" if others else ""
        try:
            return await self._post(
                address.channel_id, aim.reply, place, aim.nonce("a"), mention=mention
            )
        except trouble.ERRORS as error:
            if trouble.meaning(error) is Meaning.LATER:
                raise trouble.retry(error) from error
            log.info("an answer cannot be posted in its channel", error=repr(error))
            raise _Closed(trouble.forbids(error)) from error

    async def _tidy(self, aim: _Aim) -> None:
        """Take the waiting message away that the answer could not replace; a courtesy."""
        left = self._waiting.left_behind(aim.job_id)
        if left is not None:
            try:
                await self.wire.remove_own(aim.address.channel_id, left)
            except trouble.ERRORS as error:
                log.info("a waiting message stays behind", error=repr(error))

    async def _send_direct(
        self, identity: str, reply: Reply, nonce: str, locale: str, note: str = ""
    ) -> str:
        """As a direct message; there is no way after this one."""
        place = self._drawing.place(locale, DEFAULT_LIMIT_BYTES, others=False, identity=identity)
        try:
            channel = await self._direct_channel(identity)
            return await self._post(channel, reply, place, nonce, note=note)
        except trouble.ERRORS as error:
            raise _last(error, "this person takes no direct messages from us") from error

    async def _remove(self, message_id: str, address: Address, *, direct: bool) -> bool:
        """Take a message of ours away; whether it was there. Raises DeliveryRetry."""
        try:
            channel = address.channel_id
            if direct:
                channel = await self._direct_channel(address.identity)
            await self.wire.remove_own(channel, message_id)
        except trouble.ERRORS as error:
            if trouble.meaning(error) is Meaning.LATER:
                raise trouble.retry(error) from error
            log.info("an answer is not where it may be", error=repr(error))
            return False
        return True

    # --- what the ways have in common ---

    async def _direct_channel(self, identity: str) -> str:
        channel = self._direct_channels.get(identity)
        if channel is None:
            channel = await self.wire.direct_channel(identity)
            _remember(self._direct_channels, identity, channel)
        return channel

    def _place(self, address: Address, limit_bytes: int, *, others: bool) -> Place:
        return self._drawing.place(
            address.locale,
            limit_bytes,
            others=others,
            guild=address.guild_id,
            identity=address.identity,
        )

    async def _post(
        self,
        channel: str,
        reply: Reply,
        place: Place,
        nonce: str,
        *,
        mention: str = "",
        note: str = "",
    ) -> str:
        """A message as the bot."""

        async def send(drawn: Message) -> str:
            return await self.wire.post(channel, drawn.payload(), drawn.new_files, nonce=nonce)

        return await self._fitted(reply, place, send, mention=mention, note=note)

    async def _fitted(
        self,
        reply: Reply,
        place: Place,
        send: Callable[[Message], Awaitable[str]],
        *,
        mention: str = "",
        note: str = "",
    ) -> str:
        """Draw and send; where the files are too large after all, smaller ones; where Discord finds
        fault with the message, at least its words."""
        for limit_bytes in (place.limit_bytes, place.limit_bytes // 4):
            here = replace(place, limit_bytes=limit_bytes)
            drawn = await self._drawing.draw(reply, here, mention=mention, note=note)
            try:
                return await send(drawn)
            except discord.HTTPException as error:
                found = trouble.meaning(error)
                if found not in {Meaning.TOO_LARGE, Meaning.REFUSED}:
                    raise
                log.error("Discord did not take a message", error=repr(error))
                if found is Meaning.REFUSED:
                    break
        return await send(self._drawing.plain(reply, place, mention=mention, note=note))

    def _apology(self, address: Address, closed: _Closed) -> str:
        """Why an answer comes by direct message; a missing permission is told once."""
        if not closed.forbidden:
            return trouble.CHANNEL_GONE.in_(address.locale)
        key = (address.channel_id, address.identity)
        if key in self._told:
            return ""
        _remember(self._told, key, None)
        where = f"<#{address.channel_id}>"
        return trouble.NO_PERMISSION.in_(address.locale).format(channel=where)


class _Closed(Exception):
    """We cannot speak in a channel; `forbidden` where a permission would change that."""

    def __init__(self, forbidden: bool) -> None:
        super().__init__("the channel is closed to us")
        self.forbidden = forbidden


def _last(error: Exception, why: str) -> DeliveryRetry | DeliveryGone:
    """What the outbox is told where there is no other way."""
    if trouble.meaning(error) is Meaning.LATER:
        return trouble.retry(error)
    return DeliveryGone(why)


def _remember(held: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep the newest few."""
    held[key] = value
    held.move_to_end(key)
    while len(held) > _REMEMBER:
        held.popitem(last=False)
