"""The waiting message: where a job stands, edited at Discord's pace and never after the answer.

News comes faster than a message may be edited, so only the newest is kept and shown when its turn
comes. A waiting message may be edited for as long as its interaction's token lives; shortly before
the end it says that the answer will come as a new message. Used by `courier`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

import discord
import structlog

from bot.core import answers
from bot.core.chat import Button, Text, Update
from bot.core.ports import Clock
from bot.core.signing import Signer
from bot.platforms.discord import components, trouble
from bot.platforms.discord.acknowledged import Acknowledged
from bot.platforms.discord.address import Address
from bot.platforms.discord.message import Message
from bot.platforms.discord.packing import Packed
from bot.platforms.discord.trouble import Meaning
from bot.platforms.discord.wire import Wire
from bot.services.updates import merged

log = structlog.get_logger(__name__)

V = TypeVar("V")

EVERY_S: Final = 2.0
"""At most one edit of a message in so long; Discord allows five in five seconds, answers too."""
FIRST_AFTER_S: Final = 1.0
"""How long the first edit waits: where many ask at once, acknowledgements come before news, and a
quick answer needs none."""
TOKEN_MARGIN: Final = timedelta(seconds=30)
"""A token this near its end is taken for dead: the request needs time too."""
_LAST_WORD_BEFORE: Final = timedelta(seconds=60)
_CLOSE_S: Final = 10.0  # how long an edit that is out already is waited for
_REMEMBER: Final = 4096  # jobs
_MAX_PREVIEW_BYTES: Final = 512 * 1024
_PREVIEWS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
_BAR_WIDTH: Final = 20
_MAX_DRAFT: Final = 1800  # characters of a text while it is written

_LAST_WORD = Text(
    en="This takes longer than Discord lets me edit this message: the answer will come as a new "
    "one.",
    zh="耗时超过了 Discord 允许编辑此消息的时间：结果会作为新消息发送。",
)


@dataclass(slots=True)
class _Waiting:
    """One job's waiting message."""

    address: Address
    newest: Update
    fresh: asyncio.Event = field(default_factory=asyncio.Event)
    out: bool = False  # a request is under way
    shown: Message | None = None


class WaitingMessages:
    """Keeps waiting messages up to date. In memory only: the next news brings everything back."""

    def __init__(
        self,
        wire: Wire,
        acknowledged: Acknowledged,
        signer: Signer,
        clock: Clock,
        *,
        first_after_s: float = FIRST_AFTER_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._wire, self._acknowledged, self._signer = wire, acknowledged, signer
        self._clock, self.first_after_s, self._every_s = clock, first_after_s, every_s
        self._waiting: dict[str, _Waiting] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._ids: OrderedDict[str, str] = OrderedDict()

    def tell(self, address: Address, update: Update) -> None:
        """Take news of a job. Returns at once and never raises."""
        job_id = update.job_id
        if job_id in self._closed or not address.lives(self._clock(), margin=TOKEN_MARGIN):
            return
        waiting = self._waiting.get(job_id)
        if waiting is None:
            self._waiting[job_id] = waiting = _Waiting(address, update)
            task = asyncio.create_task(self._keep(waiting), name=f"waiting-{job_id}")
            self._tasks[job_id] = task
            task.add_done_callback(partial(self._ended, job_id))
        else:
            waiting.newest = merged(waiting.newest, update)
        waiting.fresh.set()

    def left_behind(self, job_id: str) -> str | None:
        """The id of a job's waiting message, where it was edited by this process: what to take away
        when the answer had to come another way."""
        return self._ids.pop(job_id, None)

    async def close(self, job_id: str) -> None:
        """The answer is coming: after this, no edit of ours is out or will be."""
        self._shut(job_id)
        task, waiting = self._tasks.get(job_id), self._waiting.get(job_id)
        if task is None or waiting is None:
            return
        if waiting.out:
            # A request that is out may still arrive, so it is waited for rather than cut off.
            await asyncio.wait({task}, timeout=_CLOSE_S)
        task.cancel()
        await asyncio.wait({task})

    def _shut(self, job_id: str) -> None:
        _remember(self._closed, job_id, None)

    async def stop(self) -> None:
        """End everything."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._waiting.pop(job_id, None)
        self._tasks.pop(job_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a waiting message was given up", job_id=job_id, exc_info=error)

    async def _keep(self, waiting: _Waiting) -> None:
        """Show news as it comes, until the answer or the token's end."""
        job_id = waiting.newest.job_id
        last_word = waiting.address.expires_at() - _LAST_WORD_BEFORE
        await self._acknowledged.wait(waiting.address)
        await asyncio.sleep(self.first_after_s)
        while job_id not in self._closed:
            left_s = (last_word - self._clock()).total_seconds()
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await waiting.fresh.wait()
            except TimeoutError:
                self._shut(job_id)
                await self._show(waiting, last=True)
                return
            waiting.fresh.clear()
            pause_s = await self._show(waiting)
            if pause_s is None:
                self._shut(job_id)
                return
            if job_id not in self._closed:
                await asyncio.sleep(pause_s)

    async def _show(self, waiting: _Waiting, *, last: bool = False) -> float | None:
        """One edit; how long to wait before the next, None where there will be none."""
        update, address = waiting.newest, waiting.address
        message = draw(update, address.locale, self._rows(update, address.locale), last=last)
        if message == waiting.shown:
            return 0.0
        waiting.out = True
        try:
            to = address.application_id, address.token
            message_id = await self._wire.edit(*to, message, patience_s=0.0)
        except discord.RateLimited as error:
            waiting.fresh.set()
            return error.retry_after
        except trouble.ERRORS as error:
            if trouble.meaning_for_token(error) is not Meaning.LATER:
                log.info("a waiting message cannot be edited", error=repr(error))
                return None
            return self._every_s  # the next news does better
        finally:
            waiting.out = False
        waiting.shown = message
        _remember(self._ids, update.job_id, message_id)
        return self._every_s

    def _rows(self, update: Update, locale: str) -> Sequence[Sequence[Button]]:
        return ((answers.cancel_button(self._signer, update.job_id, locale),),)


def draw(
    update: Update, locale: str, rows: Sequence[Sequence[Button]] = (), *, last: bool = False
) -> Message:
    """The waiting message: the place in line or the time left, a bar, a text's draft and a preview
    as far as they are known."""
    position = update.position if update.state == "queued" else 0
    said = answers.place_text(1 if position is None else position, update.eta_s, locale)
    parts = [components.text(components.escape(said))]
    if update.inference_step is not None and update.total_steps:
        done = min(1.0, update.inference_step / update.total_steps)
        parts.append(components.text(f"`{components.meter(done, _BAR_WIDTH)}` {done:.0%}"))
    if update.text and update.text.strip():
        parts.append(components.text(components.shortened(update.text.strip(), _MAX_DRAFT)))
    preview = _preview(update)
    if preview is not None:
        parts.append(components.gallery([components.picture(preview.filename)]))
    if last:
        parts.append(components.text(f"-# {_LAST_WORD.in_(locale)}"))
    parts.extend(components.rows(rows))
    return Message((components.container(parts),), () if preview is None else (preview,))


def _remember(held: OrderedDict[str, V], job_id: str, value: V) -> None:
    """Keep the newest few."""
    held[job_id] = value
    held.move_to_end(job_id)
    while len(held) > _REMEMBER:
        held.popitem(last=False)


def _preview(update: Update) -> Packed | None:
    ending = _PREVIEWS.get(update.preview_mime or "")
    if update.preview is None or ending is None or len(update.preview) > _MAX_PREVIEW_BYTES:
        return None
    return Packed(f"preview.{ending}", update.preview)
