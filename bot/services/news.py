"""What workers say while they work: into SQL where it lasts, on to the waiting message where it
does not.

Events come fast and are lossy by design, so taking one is only a note in memory; SQL is written by
a loop of its own, everything noted so far in one transaction. Only the dispatcher uses this.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from bot.core.chat import Update
from bot.core.domain import Job, JobState
from bot.core.ports import Clock, UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.loops import Alarm
from bot.services.reconcile import Reconciler
from bot.services.status import StudioStatus
from generators.engine.port import (
    Capacity,
    EngineEvent,
    Heartbeat,
    Progress,
    Started,
    Struck,
)

log = structlog.get_logger(__name__)

# Positions further back change too slowly to be worth an edit of somebody's message.
_PLACES = 30


class Places(Protocol):
    """What is needed of `JobService`."""

    async def place(self, job: Job) -> tuple[int, float | None]: ...


class News:
    """Takes events, keeps the status, writes down beginnings and strikes, tells places in line."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        jobs: Places,
        clock: Clock,
        updates: Callable[[Update], None],
        status: StudioStatus,
        metrics: Metrics,
        reconciler: Reconciler,
        *,
        on_room: Callable[[], None],
        every_s: float,
    ) -> None:
        self._uow, self._jobs, self._clock, self._updates = uow, jobs, clock, updates
        self._status, self._metrics, self._reconciler = status, metrics, reconciler
        self._on_room, self._every_s = on_room, every_s
        self._started: dict[str, datetime] = {}
        self._strikes: dict[str, int] = {}
        self._places: dict[str, int] = {}  # what was told last, by job id
        self._noted, self._place_alarm = Alarm(), Alarm()

    def take(self, event: EngineEvent) -> None:
        """Take one event. Never blocks."""
        if isinstance(event, Capacity):
            self._take_capacity(event)
            return
        self._reconciler.heard(event.job_id)
        match event:
            case Started():
                self._metrics.batch_size.observe(event.batch_size)
                self._started.setdefault(event.job_id, self._clock())
                self._noted.ring()
                self._updates(Update(event.job_id, "running"))
            case Progress():
                self._updates(_update(event))
            case Struck():
                self._metrics.strikes.inc()
                known = self._strikes.get(event.job_id, 0)
                self._strikes[event.job_id] = max(known, event.strikes)
                self._noted.ring()
            case Heartbeat():
                pass

    async def record_turn(self) -> None:
        """Wait for something to write down, then write it."""
        await self._noted.wait()
        await self.record_once()

    async def record_once(self) -> None:
        """Write down beginnings and strikes noted so far, in one transaction."""
        started, self._started = self._started, {}
        strikes, self._strikes = self._strikes, {}
        if not started and not strikes:
            return
        try:
            struck = await self._record(started, strikes)
        except BaseException:
            self._started = started | self._started
            self._strikes = strikes | self._strikes
            self._noted.ring()
            raise
        for job in struck:
            await self._reconciler.struck(job)

    async def places_turn(self) -> None:
        """Wait a little, then tell those in line what has changed."""
        await self._place_alarm.wait(self._every_s)
        await self.tell_places()

    async def tell_places(self) -> None:
        """Tell the first in line their place, where it is not the one they know."""
        async with self._uow(write=False) as uow:
            line = await uow.jobs.fair_head(_PLACES)
            depth = await uow.jobs.queued_count()
        self._status.queue_depth = depth
        self._metrics.queue_depth.set(depth)
        places = {job.id: place for place, job in enumerate(line, start=1)}
        for job in line:
            if self._places.get(job.id) != places[job.id]:
                _, eta_s = await self._jobs.place(job)
                self._updates(Update(job.id, "queued", position=places[job.id], eta_s=eta_s))
        self._places = places

    async def _record(self, started: dict[str, datetime], strikes: dict[str, int]) -> list[Job]:
        """One transaction; returns the jobs whose strikes grew, as they are now."""
        struck: list[Job] = []
        async with self._uow() as uow:
            rows = {job.id: job for job in await uow.jobs.get_many([*{**started, **strikes}])}
            for job_id, at in started.items():
                moved = await uow.jobs.move(
                    job_id,
                    JobState.RUNNING,
                    only_from=(JobState.QUEUED, JobState.SENT),
                    values={"started_at": at},
                )
                if moved and job_id in rows:
                    waited = (at - rows[job_id].created_at).total_seconds()
                    self._metrics.wait_seconds.observe(max(0.0, waited))
            for job_id, count in strikes.items():
                row = rows.get(job_id)
                if row is not None and not row.state.ended and count > row.strikes:
                    await uow.jobs.set_strikes(job_id, count)
                    struck += await uow.jobs.get_many([job_id])
            await uow.commit()
        return struck

    def _take_capacity(self, capacity: Capacity) -> None:
        known = {worker.worker_id for worker in self._status.workers()}
        self._status.heard(capacity)
        if capacity.state == "gone" or capacity.worker_id not in known:
            self._reconciler.suspect()
        self._on_room()


def _update(event: Progress) -> Update:
    return Update(
        event.job_id,
        "running",
        inference_step=event.inference_step,
        total_steps=event.total_steps,
        text=event.text,
        preview=event.preview,
        preview_mime=event.preview_mime,
    )
