"""The outbox: every job that ended is answered once, whatever platforms, databases and we do.

What must be answered is in SQL (`services.outbox`), so this loop may die at any moment and go on
after. Deliveries run side by side, one at a time for each job and a few at a time for each
platform, so that a platform that hangs keeps nobody else waiting. Built and run by `bot.app`; the
dispatcher publishes updates and wakes it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from bot.core import answers
from bot.core.chat import Reply, Update
from bot.core.domain import Artifact, Delivery, DeliveryState, Job, JobState
from bot.core.ports import Platform, SendsOnce, UnitOfWorkFactory
from bot.errors import DeliveryGone, DeliveryRetry
from bot.metrics import Metrics
from bot.services.loops import Alarm, forever
from bot.services.outbox import Outbox, Pace
from bot.services.updates import UpdateFeed

if TYPE_CHECKING:
    from bot.services import Services

log = structlog.get_logger(__name__)

Presenter = Callable[[Any, Job, tuple[Artifact, ...], str], Reply]

_LOOK = 64  # deliveries looked at in addition to those that are busy
_AT_ONCE = 16  # running deliveries per platform
_UNKNOWN_PLATFORM_S = 600.0  # its token was taken away; it may come back


class DeliveryService:
    """Answers jobs that ended and shows how those that did not are doing."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        platforms: Mapping[str, Platform],
        presenters: Mapping[str, Presenter | None],
        services: Services,
        *,
        metrics: Metrics,
        pace: Pace | None = None,
    ) -> None:
        """`platforms` by name and `presenters` by command name; both may be filled later."""
        self._uow, self._platforms, self._presenters = uow, platforms, presenters
        self._services, self._metrics, self._pace = services, metrics, pace or Pace()
        self._outbox = Outbox(uow, services.clock, metrics, self._pace)
        self._awake = Alarm()
        self._awake.ring()
        self._looking = asyncio.Lock()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._room: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_ONCE)
        )
        self._missing: set[str] = set()
        self.updates = UpdateFeed(uow, platforms, timeout_s=self._pace.update_timeout_s)

    async def run(self) -> None:
        """Serve until cancelled; then let what is being sent finish, for a moment."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, turn in (("delivery", self._turn), ("updates", self.updates.turn)):
                    tasks.create_task(forever(name, turn, self._metrics), name=name)
        finally:
            await self.drain()

    def wake(self, job_id: str = "") -> None:
        """A job has ended: there is something to deliver."""
        self._awake.ring()

    def publish(self, update: Update) -> None:
        """News of a job that has not ended. Neither blocks nor raises."""
        self.updates.publish(update)

    async def start_due(self) -> int:
        """Begin all deliveries that are due and not begun yet; returns how many."""
        async with self._looking:
            # One that ends while we look may still seem due: whoever was busy before is left out.
            busy = frozenset(self._busy)
            async with self._uow(write=False) as uow:
                due = await uow.deliveries.due(self._services.clock(), limit=len(busy) + _LOOK)
            fresh = [delivery for delivery in due if delivery.job_id not in busy]
            for delivery in fresh:
                job_id = delivery.job_id
                task = asyncio.create_task(self._deliver_surely(delivery), name=f"deliver-{job_id}")
                self._busy[job_id] = task
                task.add_done_callback(partial(self._done, job_id))
        return len(fresh)

    async def settle(self) -> None:
        """Wait until nothing is being delivered (what is due later stays due)."""
        while self._busy:
            await asyncio.wait(set(self._busy.values()))

    async def drain(self) -> None:
        """Let what is being sent finish, for a moment, then let go of it."""
        await self.updates.stop()
        tasks = set(self._busy.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._pace.drain_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _done(self, job_id: str, task: asyncio.Task[None]) -> None:
        del self._busy[job_id]

    async def _turn(self) -> None:
        await self._awake.wait(self._pace.poll_s)
        while await self.start_due() >= _LOOK:
            pass

    async def _deliver_surely(self, delivery: Delivery) -> None:
        """One try. An error of ours (not of the platform) puts the delivery off like any other."""
        with structlog.contextvars.bound_contextvars(
            job_id=delivery.job_id, platform=delivery.platform
        ):
            try:
                async with self._room[delivery.platform]:
                    await self._deliver(delivery)
            except Exception:  # one answer in trouble must not keep the others waiting
                self._metrics.loop_errors.labels("delivery").inc()
                log.exception("an answer could not be looked after")
                await self._outbox.put_off(delivery, attempts=delivery.attempts + 1)

    async def _deliver(self, delivery: Delivery) -> None:
        platform = self._platforms.get(delivery.platform)
        if platform is None:
            await self._without_platform(delivery)
            return
        async with self._uow(write=False) as uow:
            job = await uow.jobs.get(delivery.job_id)
            artifacts = (await uow.artifacts.of_jobs([delivery.job_id])).get(delivery.job_id, ())
        if job is None or not job.state.ended:
            await self._outbox.conclude(delivery, DeliveryState.GONE, "erased")
            return
        reply = self._reply(job, artifacts)
        repeatable = not isinstance(platform, SendsOnce) or platform.repeatable(delivery, reply)
        begun = delivery
        if not repeatable or delivery.state is DeliveryState.SENDING:
            found = await self._outbox.begin(delivery)
            if found is None:
                return
            begun = found
        await self.updates.close(job.id)
        await self._try(platform, begun, reply, job, repeatable=repeatable)

    async def _try(
        self, platform: Platform, delivery: Delivery, reply: Reply, job: Job, *, repeatable: bool
    ) -> None:
        try:
            async with asyncio.timeout(self._pace.deliver_timeout_s):
                message_id = await platform.deliver(delivery, reply)
        except DeliveryGone as error:
            log.info("the place of an answer is gone", error=str(error))
            await self._outbox.conclude(delivery, DeliveryState.GONE, "gone")
        except DeliveryRetry as error:
            log.info("an answer is put off", error=str(error), after_s=error.after_s)
            await self._outbox.failed(delivery, error.after_s, unknown=error.unknown)
        except Exception as error:  # a time-out, or a bug in the platform: it may have arrived
            log.warning("an answer failed", error=repr(error), exc_info=error)
            await self._outbox.failed(delivery, None, unknown=not repeatable)
        else:
            await self._outbox.conclude(
                delivery, DeliveryState.DELIVERED, "delivered", message_id=message_id
            )
            if job.finished_at is not None:
                took = (self._services.clock() - job.finished_at).total_seconds()
                self._metrics.delivery_seconds.labels(delivery.platform).observe(max(0.0, took))

    async def _without_platform(self, delivery: Delivery) -> None:
        if delivery.platform not in self._missing:
            self._missing.add(delivery.platform)
            log.warning("answers wait for a platform that is not set up")
        await self._outbox.put_off(
            delivery, after_s=_UNKNOWN_PLATFORM_S, attempts=delivery.attempts
        )

    def _reply(self, job: Job, artifacts: tuple[Artifact, ...]) -> Reply:
        """The answer as the job's command presents it. A presenter that raises costs the member
        its decoration, not the media: those have been paid for."""
        present = self._presenters.get(job.command)
        if present is not None:
            try:
                return present(self._services, job, artifacts, job.locale)
            except Exception:  # of any command's file
                log.exception("the answer of a job could not be drawn")
        if job.state is not JobState.DONE:
            return answers.ended_badly(self._services.signer, job, job.locale)
        media = answers.media_of(artifacts)
        return Reply(title=answers.title_of(job), media=media, ephemeral=job.private)
