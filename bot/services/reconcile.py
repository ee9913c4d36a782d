"""Heals what went missing between SQL and the engine: lost jobs, silent jobs, cancels, strikes.

The rule is one line: what SQL holds as sent or running and what is silent is sent again. The engine
refuses what it holds and takes what it lost, so nobody needs to know which is which. Only the
dispatcher and its news use this.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from bot.core.domain import Job
from bot.core.ports import Clock, UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.completion import Completion
from bot.services.loops import Alarm
from bot.services.sending import Sender
from generators.engine.port import Engine, EngineClosed, EngineResult, struck_out

log = structlog.get_logger(__name__)

# Workers say something about each job they hold every few seconds.
_QUIET = timedelta(seconds=15)
_CANCEL_POLL_S = 1.0


class Reconciler:
    """Remembers when each job was last heard of, and asks again.

    `stuck_s` without a sign of life and a job is evicted before it is sent again: an engine that
    holds it but will never deliver it must let go first. `cancel_grace_s` after a cancel that the
    engine did not answer (it forgot the job, or a step takes long), the job ends without it.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        sender: Sender,
        engine: Engine,
        completion: Completion,
        clock: Clock,
        metrics: Metrics,
        *,
        every_s: float,
        stuck_s: float,
        cancel_grace_s: float,
        max_strikes: int,
    ) -> None:
        self._uow, self._sender, self._engine = uow, sender, engine
        self._completion, self._clock, self._metrics = completion, clock, metrics
        self._every_s, self._max_strikes = every_s, max_strikes
        self._stuck = timedelta(seconds=stuck_s)
        self._cancel_grace = timedelta(seconds=cancel_grace_s)
        self._began = clock()
        self._heard_at: dict[str, datetime] = {}
        self._cancelling: dict[str, datetime] = {}
        self._just_ended: set[str] = set()  # since the last look at SQL
        self._everything = True
        self._alarm, self._cancel_alarm = Alarm(), Alarm()
        self._alarm.ring()

    def heard(self, job_id: str) -> None:
        """A sign of life of this job."""
        self._heard_at[job_id] = self._clock()

    def forget(self, job_id: str) -> None:
        """The job has ended."""
        self._just_ended.add(job_id)
        self._heard_at.pop(job_id, None)
        self._cancelling.pop(job_id, None)

    def suspect(self) -> None:
        """A worker came or went: send again whatever SQL holds as sent, soon."""
        self._everything = True
        self._alarm.ring()

    def cancel(self, job_id: str) -> None:
        """Stop this job, and keep at it until it has ended."""
        self._cancelling.setdefault(job_id, self._clock())
        self._cancel_alarm.ring()

    async def turn(self) -> None:
        """Wait for the next round, then go through what is in flight."""
        await self._alarm.wait(self._every_s)
        await self.reconcile_once()

    async def cancel_turn(self) -> None:
        """Wait until something is to be cancelled, then ask."""
        await self._cancel_alarm.wait(_CANCEL_POLL_S if self._cancelling else None)
        await self.cancel_once()

    async def reconcile_once(self) -> None:
        """Send again what is silent (or everything, after a start or a worker's death)."""
        everything, self._everything = self._everything, False
        self._just_ended.clear()
        try:
            async with self._uow(write=False) as uow:
                jobs = await uow.jobs.in_flight()
            in_flight = {job.id for job in jobs}
            for job_id in [one for one in self._heard_at if one not in in_flight]:
                del self._heard_at[job_id]
            for job in jobs:
                if job.cancel_requested_at is not None:
                    self.cancel(job.id)  # asked for before we started, or by another gateway
                await self._heal(job, everything=everything)
        except BaseException:
            self._everything = self._everything or everything
            raise

    async def cancel_once(self) -> None:
        """Ask the engine for each cancel that is not through; end those it does not answer."""
        if not self._cancelling:
            return
        async with self._uow(write=False) as uow:
            live = {
                job.id
                for job in await uow.jobs.get_many([*self._cancelling])
                if not job.state.ended
            }
        for job_id, since in list(self._cancelling.items()):
            if job_id not in live:
                self._cancelling.pop(job_id, None)
                continue
            await self._engine.cancel(job_id)
            if self._clock() - since >= self._cancel_grace:
                await self._completion.end(EngineResult(job_id=job_id, state="cancelled"))

    async def struck(self, job: Job) -> None:
        """The job's strikes were recorded: send it again if its engine lost it, or give it up."""
        await self._heal(job, everything=True)

    async def _heal(self, job: Job, *, everything: bool) -> None:
        try:
            if job.id in self._just_ended or self._completion.settling(job.id):
                return
            if job.id in self._cancelling:
                return
            if job.strikes >= self._max_strikes:
                await self._engine.evict(job.id)
                await self._completion.end(struck_out(job.id, job.strikes))
                return
            now = self._clock()
            silent = now - max(self._heard_at.get(job.id, self._began), job.sent_at or self._began)
            if silent >= self._stuck:
                log.warning("a job is silent and starts over", job_id=job.id)
                await self._engine.evict(job.id)
                self._heard_at[job.id] = now
                await self._again(job, "stuck")
            elif everything or silent >= _QUIET:
                await self._again(job, "reconciled")
        except EngineClosed:
            raise
        except Exception:  # one job that cannot be healed must not keep the others waiting
            self._metrics.loop_errors.labels("reconcile").inc()
            log.exception("a job in flight could not be looked after", job_id=job.id)

    async def _again(self, job: Job, reason: str) -> None:
        self._metrics.resent.labels(reason).inc()
        await self._sender.send(job)
