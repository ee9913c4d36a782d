"""From the queue in SQL to the engine, in the fair order and never further ahead than needed.

SQL is the truth, the engine only executes. What is not sent can still be ordered, so jobs are sent
only as far as ready workers have room; before a worker says that it is ready, nothing is sent: a
batch sent ahead would save one round trip of milliseconds and take seconds of choice away.

A job is sent first and marked as sent after. If the gateway dies between the two, the row is still
`queued`, the next round sends it again, and an engine that holds it already does nothing. The
other order would have SQL claim what no engine holds, and take a job that could not be sent out of
the fair order. The price: a result or a `started` may come before the mark, so both are taken from
a `queued` job too; and a job cancelled in between is cancelled in the engine again.

Built and run by `bot.app`; others only `wake` it, and `JobService` calls `cancel`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from bot.core.chat import Update
from bot.core.domain import Job, JobState
from bot.core.ports import Clock, UnitOfWork, UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.active_limits import ActiveLimits, ReadsLimits
from bot.services.completion import Completes, Completion
from bot.services.fairness import choose_batch, member_of
from bot.services.loops import Alarm, forever
from bot.services.news import News
from bot.services.reconcile import Reconciler
from bot.services.room import Room
from bot.services.sending import Sender, batch_items
from bot.services.status import StudioStatus
from generators.engine.port import MAX_STRIKES, Engine

UpdateSink = Callable[[Update], None]
"""Takes news of running jobs; must neither block nor raise."""

LOOK_AHEAD = 64  # queued jobs looked at for one batch


class DispatchesJobs(Completes, Protocol):
    """What is needed of `JobService`."""

    async def place(self, job: Job) -> tuple[int, float | None]:
        """Queue position (1 is next) and seconds until the result is expected."""
        ...


class Dispatcher:
    """Picks, sends, takes what comes back, and heals what went missing."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        engine: Engine,
        jobs: DispatchesJobs,
        quota: ReadsLimits,
        clock: Clock,
        updates: UpdateSink,
        *,
        status: StudioStatus,
        metrics: Metrics,
        on_ended: Callable[[str], None] = lambda job_id: None,
        max_items: Callable[[Job], int] = batch_items,
        gather_s: float = 0.015,
        poll_s: float = 1.0,
        news_every_s: float = 3.0,
        reconcile_every_s: float = 30.0,
        stuck_s: float = 300.0,
        cancel_grace_s: float = 5.0,
        max_strikes: int = MAX_STRIKES,
    ) -> None:
        """`on_ended` hears of every job whose end is committed here (wakes the delivery).
        `gather_s`: how long to wait after being woken, so that the results of one batch, which come
        one by one, free room for one batch and not for many small ones. See `Reconciler` for
        `stuck_s` and `cancel_grace_s`. `max_strikes`: as the workers have it."""
        self._uow, self._engine = uow, engine
        self._clock, self._metrics, self._status = clock, metrics, status
        self._max_items, self._gather_s, self._poll_s = max_items, gather_s, poll_s
        self._awake, self._on_ended = Alarm(), on_ended
        self._limits = ActiveLimits(quota, clock)
        self.completion = Completion(uow, jobs, metrics, self._ended_here)
        self._sender = Sender(engine, self.completion)
        self.reconciler = Reconciler(
            uow,
            self._sender,
            engine,
            self.completion,
            clock,
            metrics,
            every_s=reconcile_every_s,
            stuck_s=stuck_s,
            cancel_grace_s=cancel_grace_s,
            max_strikes=max_strikes,
        )
        self.news = News(
            uow,
            jobs,
            clock,
            updates,
            status,
            metrics,
            self.reconciler,
            on_room=self.wake,
            every_s=news_every_s,
        )

    async def run(self) -> None:
        """Serve until cancelled, or until the engine is closed. What SQL holds as sent goes to the
        engine again at once."""
        turns = {
            "dispatch": self._turn,
            "results": self._results,
            "events": self._events,
            "record": self.news.record_turn,
            "places": self.news.places_turn,
            "reconcile": self.reconciler.turn,
            "cancel": self.reconciler.cancel_turn,
        }
        async with asyncio.TaskGroup() as tasks:
            for name, turn in turns.items():
                tasks.create_task(forever(name, turn, self._metrics), name=f"dispatcher-{name}")

    def wake(self) -> None:
        """There may be something to send: a job was admitted, or room was made."""
        self._awake.ring()

    async def cancel(self, job_id: str) -> None:
        """Stop a job that was sent. Returns at once; the job ends with the engine's answer or,
        should none come, without it. If the gateway dies before either, its successor finds the
        wish in SQL and asks again."""
        self.reconciler.cancel(job_id)

    def ended_in_queue(self, job_id: str) -> None:
        """`JobService` has cancelled a job that was never sent."""
        self._metrics.jobs.labels(str(JobState.CANCELLED)).inc()
        self._on_ended(job_id)

    async def dispatch_once(self) -> int:
        """Send the next batch if there is room for it; returns how many jobs it looked after (0:
        nothing can be sent now)."""
        async with self._uow(write=False) as uow:
            in_flight = await uow.jobs.in_flight()
            self._status.in_flight = len(in_flight)
            self._metrics.in_flight.set(len(in_flight))
            room = Room(self._status, in_flight)
            batch = await self._choose(uow, in_flight, room) if room.any else []
        if batch:
            await self._send_batch(batch)
        return len(batch)

    async def _turn(self) -> None:
        await self._awake.wait(self._poll_s)
        await asyncio.sleep(self._gather_s)
        while await self.dispatch_once():
            pass

    async def _choose(self, uow: UnitOfWork, in_flight: Sequence[Job], room: Room) -> list[Job]:
        running = Counter(member_of(job) for job in in_flight)
        full = [key for key in running if running[key] >= await self._limits.of(uow, key)]
        candidates = await uow.jobs.fair_head(LOOK_AHEAD, skip=full)
        allowance = {
            key: await self._limits.of(uow, key) - running[key]
            for key in {member_of(job) for job in candidates}
        }
        for lane, most in room.lanes(candidates):
            batch = choose_batch(
                lane,
                room=most,
                allowance=allowance,
                max_items=lambda head: room.items(head, self._max_items(head)),
                loaded=self._status.loaded_models,
            )
            if batch:
                return batch
        return []

    async def _send_batch(self, batch: Sequence[Job]) -> None:
        """Send, then mark what was sent, even when sending broke off half-way."""
        sent: list[Job] = []
        try:
            for job in batch:
                if await self._sender.send(job):
                    sent.append(job)
        finally:
            if sent:
                await self._mark_sent(sent)

    async def _mark_sent(self, sent: Sequence[Job]) -> None:
        missed: list[str] = []
        async with self._uow() as uow:
            for job in sent:
                values = {"sent_at": self._clock()}
                if not await uow.jobs.move(
                    job.id, JobState.SENT, only_from=(JobState.QUEUED,), values=values
                ):
                    missed.append(job.id)
            await uow.advance_virtual_time(min(job.start_tag for job in sent))
            live = {job.id for job in await uow.jobs.get_many(missed) if not job.state.ended}
            await uow.commit()
        for job_id in missed:
            if job_id not in live:  # cancelled while it was being sent
                await self._engine.cancel(job_id)

    async def _results(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for result, acknowledge in self._engine.results():
                tasks.create_task(self.completion.settle(result, acknowledge))
        await asyncio.sleep(self._poll_s)  # only an engine that is being closed has no more

    async def _events(self) -> None:
        async for event in self._engine.events():
            self.news.take(event)
        await asyncio.sleep(self._poll_s)

    def _ended_here(self, job_id: str) -> None:
        self.reconciler.forget(job_id)
        self._on_ended(job_id)
        self.wake()
