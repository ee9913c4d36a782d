"""News of jobs that are not finished, on their way to the waiting messages. Lossy, never late.

Many sources publish (progress, places in line), each platform shows at its own pace, and only the
newest news of a job matters. Nothing is shown once the final answer is on its way: `close` is the
delivery's, and after it returned no update of that job is running or will ever run.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import structlog

from bot.core.chat import Update
from bot.core.domain import DeliveryState
from bot.core.ports import Platform, UnitOfWorkFactory
from bot.services.loops import Alarm

log = structlog.get_logger(__name__)

_REMEMBER_CLOSED = 4096  # late news of jobs answered longer ago is stopped by a look at SQL


class UpdateFeed:
    """At most one update per job at a time; what comes meanwhile is merged into one."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        platforms: Mapping[str, Platform],
        *,
        timeout_s: float = 10.0,
    ) -> None:
        self._uow, self._platforms, self._timeout_s = uow, platforms, timeout_s
        self._newest: dict[str, Update] = {}
        self._showing: dict[str, asyncio.Task[None]] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._alarm = Alarm()

    def publish(self, update: Update) -> None:
        """Take news of a job. Neither blocks nor raises."""
        if update.job_id in self._closed:
            return
        waiting = self._newest.get(update.job_id)
        self._newest[update.job_id] = update if waiting is None else merged(waiting, update)
        self._alarm.ring()

    async def turn(self) -> None:
        """Wait for news, then begin to show what is not being shown already."""
        await self._alarm.wait()
        for job_id in [one for one in self._newest if one not in self._showing]:
            task = asyncio.create_task(self._show(job_id), name=f"update-{job_id}")
            self._showing[job_id] = task
            task.add_done_callback(partial(self._shown, job_id))

    async def close(self, job_id: str) -> None:
        """No more updates of this job: drops what waits, ends what is being shown."""
        self._closed[job_id] = None
        self._closed.move_to_end(job_id)
        while len(self._closed) > _REMEMBER_CLOSED:
            self._closed.popitem(last=False)
        self._newest.pop(job_id, None)
        showing = self._showing.get(job_id)
        if showing is not None:
            # A request that is out already may still arrive; so it is waited for, not cut off.
            await asyncio.wait({showing}, timeout=self._timeout_s)
            showing.cancel()
            await asyncio.wait({showing})

    async def stop(self) -> None:
        """End everything that is being shown."""
        tasks = set(self._showing.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _show(self, job_id: str) -> None:
        while (update := self._newest.pop(job_id, None)) is not None:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._show_one(update)
            except Exception as error:  # best effort: the next one may do better
                log.info("an update was not shown", job_id=job_id, error=repr(error))

    async def _show_one(self, update: Update) -> None:
        async with self._uow(write=False) as uow:
            delivery = await uow.deliveries.get(update.job_id)
        if delivery is None or delivery.state is not DeliveryState.WAITING:
            return
        platform = self._platforms.get(delivery.platform)
        if platform is not None and update.job_id not in self._closed:
            await platform.update(delivery, update)

    def _shown(self, job_id: str, task: asyncio.Task[None]) -> None:
        del self._showing[job_id]
        if job_id in self._newest:  # came between the last look and the task's end
            self._alarm.ring()


def merged(older: Update, newer: Update) -> Update:
    """The newer one, with the preview and text of the older where it brings none itself."""
    if newer.state != older.state:
        return newer
    return replace(
        newer,
        text=older.text if newer.text is None else newer.text,
        preview=older.preview if newer.preview is None else newer.preview,
        preview_mime=older.preview_mime if newer.preview is None else newer.preview_mime,
        inference_step=(
            older.inference_step if newer.inference_step is None else newer.inference_step
        ),
        total_steps=older.total_steps if newer.total_steps is None else newer.total_steps,
    )
