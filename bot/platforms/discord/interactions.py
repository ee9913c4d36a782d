"""Every interaction passes here, whether the gateway or an HTTP request brought it.

It is read, handled and shown; Discord gives three seconds for the first sign of life, so whatever
is not through within `ACK_WITHIN_S` is acknowledged first and shown when it is there. What goes
wrong is logged and told to the member: nothing is raised, no interaction takes another with it.
Used by `platform` and by the HTTP mode.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import discord
import structlog
from discord import InteractionType

from bot.core.chat import Button, Invocation, Reply, Text
from bot.core.domain import Delivery, DeliveryState
from bot.core.ports import Handle
from bot.errors import PlatformError, UserError
from bot.metrics import Metrics
from bot.platforms.discord import reading
from bot.platforms.discord.attachments import Fetcher
from bot.platforms.discord.autocomplete import Suggestions
from bot.platforms.discord.intake import Intake
from bot.platforms.discord.reading import Asked

if TYPE_CHECKING:
    from bot.platforms.discord.courier import Courier
    from bot.platforms.discord.expressions import Expressions
    from bot.services.rule_book import RuleBook

log = structlog.get_logger(__name__)

ACK_WITHIN_S: Final = 0.5
"""How long an admission may take before it is acknowledged unfinished: a member who waits a second
begins to wonder, and a request takes its time too."""
ACK_SOONER_S: Final = 0.02
"""How much sooner for each one that is being handled already: behind a crowd there is no hope of
being through in time, and the acknowledgements of a crowd take their time themselves."""
RULES_WITHIN_S: Final = 0.2
AT_ONCE: Final = 16
"""Invocations that are handled side by side. More would only wait for the database, and keep those
who are still to be acknowledged from their turn."""
DRAIN_S: Final = 5.0
REMEMBERED: Final = 20_000  # interactions; a token lives for 15 minutes

_STARTING = Text(
    en="The studio is just starting. Please try again in a moment.",
    zh="工作室正在启动，请稍后再试。",
)
_ASK_AGAIN = Text(
    en="That took a moment too long for a form to open. Once more, please: {how}",
    zh="刚才耗时过长，表单未能打开。请再来一次：{how}",
)
_PRESS = Text(en="press the button.", zh="按下按钮。")
_OPEN = Text(en="Open the form", zh="打开表单")


class Desk:
    """Takes interactions, any number at once. Keeps none of them: what must last is in SQL."""

    def __init__(
        self,
        reader: reading.Reader,
        fetcher: Fetcher,
        suggestions: Suggestions,
        courier: Courier,
        expressions: Expressions,
        rules: RuleBook,
        *,
        metrics: Metrics,
        intake: Intake | None = None,
    ) -> None:
        """`intake`: where what is acknowledged before it is admitted is kept; None loses it where
        the process is killed."""
        self._reader, self._fetcher, self._suggestions = reader, fetcher, suggestions
        self._courier, self._expressions, self._metrics = courier, expressions, metrics
        self._rules = rules
        self._handle: Handle | None = None
        self._busy: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._replies: set[asyncio.Task[Reply]] = set()
        self._taken: OrderedDict[int, None] = OrderedDict()
        self._intake = intake
        self._left: list[Asked] = []

    def open(self, handle: Handle) -> None:
        """From now on invocations go here."""
        self._handle = handle
        self._left = self._intake.left() if self._intake is not None else []

    def close(self) -> None:
        """From now on invocations are told that the studio is not there."""
        self._handle = None
        if self._intake is not None:
            self._intake.close()

    async def settle(self) -> None:
        """Let what is being answered finish, for a moment."""
        if under_way := self._busy | self._replies:
            await asyncio.wait(under_way, timeout=DRAIN_S)

    def resume(self) -> None:
        """Take up what a gateway before this one had acknowledged and not admitted. Called once
        there is a client."""
        left, self._left = self._left, []
        for asked in left:
            task = asyncio.create_task(self._resume(asked), name=f"left-{asked.invocation.id}")
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)

    async def take(self, interaction: discord.Interaction) -> None:
        """Answer one interaction, from the first sign of life to what is shown at once; a job's
        result follows as a delivery. Never raises but for cancellation."""
        if not self._is_new(interaction.id):
            log.info("an interaction came twice", invocation_id=str(interaction.id))
            return
        answering = asyncio.current_task()
        assert answering is not None  # noqa: S101 (we are in a coroutine)
        self._busy.add(answering)
        with structlog.contextvars.bound_contextvars(invocation_id=str(interaction.id)):
            try:
                if interaction.type is InteractionType.autocomplete:
                    await self._suggestions.answer(interaction)
                elif self._expressions.takes(interaction):
                    await self._expressions.answer(interaction, await self._locale(interaction))
                elif interaction.type is not InteractionType.ping:
                    await self._answer(interaction)
            except Exception:  # of the platform or ours: the next interaction must be taken
                log.exception("an interaction could not be answered")
            finally:
                self._busy.discard(answering)

    def _is_new(self, interaction_id: int) -> bool:
        """Whether this one was not taken before: a second answer to it would be refused. After a
        restart admission still tells (`Invocation.id`)."""
        if interaction_id in self._taken:
            return False
        self._taken[interaction_id] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return True

    async def _answer(self, interaction: discord.Interaction) -> None:
        try:
            asked = self._reader.read(interaction)
        except UserError as error:
            locale = await self._locale(interaction)
            reply = Reply(text=error.text(locale), error=True, ephemeral=True)
            await self._show(interaction, reply, locale)
            return
        asked = await self._at_home(asked)
        # A task of its own: what was begun is finished and counted, whoever stops waiting for it.
        task = asyncio.create_task(self._reply(asked), name=f"interaction-{interaction.id}")
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)
        at_once_s = max(0.0, ACK_WITHIN_S - len(self._replies) * ACK_SOONER_S)
        await asyncio.wait({task}, timeout=at_once_s)
        if not task.done():
            self._metrics.late_acknowledgements.labels("discord").inc()
            if self._intake is not None:  # from here on it counts on us
                self._intake.keep(asked)
            await self._courier.acknowledge(interaction, ephemeral=asked.alone, edits=asked.edits)
        reply = await task
        if reply.form is not None and interaction.response.is_done():
            reply = _without_form(asked.invocation, reply.form.command)
        await self._show(interaction, reply, asked.invocation.origin.locale)
        if self._intake is not None:
            self._intake.drop(asked)

    async def _resume(self, asked: Asked) -> None:
        """As `_answer`, of an interaction that is no longer at hand: a job's answer comes by the
        outbox, any other goes the ways of one."""
        invocation = asked.invocation
        try:
            reply = await self._reply(asked)
            if reply.form is not None:
                reply = _without_form(invocation, reply.form.command)
            if reply.ticket is None and not asked.edits:
                delivery = Delivery(
                    job_id=f"{int(invocation.id):032x}",
                    account_id="",
                    platform="discord",
                    address={**invocation.address, "ephemeral": asked.alone},
                    private=asked.alone,
                    state=DeliveryState.PENDING,
                )
                await self._courier.deliver(delivery, reply)
        except PlatformError as error:
            log.warning("what was left of a former start cannot be shown", error=str(error))
        except Exception:  # the next one must be taken up all the same
            log.exception("what was left of a former start could not be answered")
        if self._intake is not None:
            self._intake.drop(asked)

    async def _reply(self, asked: Asked) -> Reply:
        """The router's reply, files fetched before. What is wrong with a file is the member's."""
        invocation, handle = asked.invocation, self._handle
        locale = invocation.origin.locale
        if handle is None:
            return Reply(text=_STARTING.in_(locale), error=True, ephemeral=True)
        try:
            uploads = await self._fetcher.fetch(asked.files)
        except UserError as error:
            return Reply(text=error.text(locale), error=True, ephemeral=True)
        if uploads:  # judging pictures takes long, and has a queue of its own
            return await handle(replace(invocation, uploads=uploads))
        async with self._room:
            return await handle(invocation)

    async def _at_home(self, asked: Asked) -> Asked:
        """As the community wants it: in its language, and for the member alone. Its rules are
        remembered; where they cannot be read soon enough, an acknowledgement goes before them."""
        origin = asked.invocation.origin
        try:
            async with asyncio.timeout(RULES_WITHIN_S):
                rules = await self._rules.of(origin)
                invocation = await self._rules.spoken(asked.invocation)
        except Exception as error:  # admission reads them again, and says what is wrong
            log.warning("the rules of a community cannot be read", error=repr(error))
            return asked
        address = {**invocation.address, "locale": invocation.origin.locale}
        alone = asked.alone or (rules.ephemeral and not origin.personal)
        return replace(asked, invocation=replace(invocation, address=address), alone=alone)

    async def _locale(self, interaction: discord.Interaction) -> str:
        """The community's language, else the member's, for what the router never sees."""
        try:
            async with asyncio.timeout(RULES_WITHIN_S):
                rules = await self._rules.of(reading.origin(interaction))
        except Exception as error:  # in any language rather than not at all
            log.warning("the rules of a community cannot be read", error=repr(error))
            return reading.locale(interaction)
        return rules.language or reading.locale(interaction)

    async def _show(self, interaction: discord.Interaction, reply: Reply, locale: str) -> None:
        await self._courier.show(
            interaction, reply, locale=locale, limit_bytes=interaction.filesize_limit
        )


def _without_form(invocation: Invocation, command: str) -> Reply:
    """A form can only be the first response: after another one, the way to it is shown."""
    locale = invocation.origin.locale
    if invocation.action is None:
        how = f"/{command}"
        return Reply(text=_ASK_AGAIN.in_(locale).format(how=how), ephemeral=True)
    text = _ASK_AGAIN.in_(locale).format(how=_PRESS.in_(locale))
    label = _OPEN.in_(locale)
    button = Button(label=label, data=invocation.action, description=label)
    return Reply(text=text, buttons=((button,),), ephemeral=True)
