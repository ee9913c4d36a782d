"""From a worker's result to the committed end of a job, whatever happens in between.

Order is everything here: the result is committed in SQL, and only then acknowledged to the engine.
A crash between the two shows the result once more, and completing twice changes nothing. Only the
dispatcher uses this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from bot.core.domain import JobState
from bot.core.ports import UnitOfWorkFactory
from bot.metrics import Metrics
from bot.services.loops import Backoff
from generators.contract import BadRequest
from generators.engine.port import Acknowledge, EngineResult, failed_result
from generators.logs import bound

log = structlog.get_logger(__name__)

# A result that the store refuses this often, while it takes other writes, will never be taken.
_REFUSALS = 4
_NOT_KEPT = BadRequest("The result could not be kept.", "结果无法保存。")


class Completes(Protocol):
    """What is needed of `JobService`."""

    async def complete(self, result: EngineResult) -> bool:
        """End a job in one transaction. False where it had ended already or is unknown."""
        ...


class Completion:
    """Ends jobs surely. `on_ended` is called after each end that was committed here."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        jobs: Completes,
        metrics: Metrics,
        on_ended: Callable[[str], None],
    ) -> None:
        self._uow, self._jobs, self._metrics = uow, jobs, metrics
        self._on_ended = on_ended
        self._settling: set[str] = set()

    def settling(self, job_id: str) -> bool:
        """Whether a result of this job is being committed right now."""
        return job_id in self._settling

    async def settle(self, result: EngineResult, acknowledge: Acknowledge) -> None:
        """Commit a result, retrying until it is, then acknowledge it. Raises only if cancelled."""
        if result.job_id in self._settling:
            return  # shown again while the first showing is still being committed
        self._settling.add(result.job_id)
        try:
            with bound(job_id=result.job_id):
                await self.end(result)
                await self._acknowledge(acknowledge)
        finally:
            self._settling.discard(result.job_id)

    async def end(self, result: EngineResult) -> bool:
        """Commit the end of a job, retrying with back-off until the store takes it. Returns
        whether this result was the first and so the one that counts."""
        first = await self._commit(result)
        try:
            await self._count(result, first=first)
        except Exception:  # figures only; the end is committed
            log.exception("a job's end could not be counted")
        if first:
            self._on_ended(result.job_id)
        return first

    async def _commit(self, result: EngineResult) -> bool:
        backoff, refusals = Backoff(), 0
        while True:
            try:
                return await self._jobs.complete(result)
            except Exception:  # the result is kept nowhere else: giving up would lose it
                self._metrics.loop_errors.labels("completion").inc()
                log.exception("a result could not be committed; trying again")
            # A store that is down is waited for, however long. One that works and yet refuses this
            # result, again and again, would leave the job without an end.
            refusals += await self._store_writes()
            if refusals == _REFUSALS:
                log.error("the result is given up: the store does not take it")
                result = failed_result(result.job_id, _NOT_KEPT, "internal")
            await asyncio.sleep(backoff.next_s())

    async def _store_writes(self) -> bool:
        """Whether the store takes a write that changes nothing."""
        try:
            async with self._uow() as uow:
                await uow.advance_virtual_time(0.0)
                await uow.commit()
        except Exception:  # of any store: whatever it says, it does not write
            return False
        return True

    async def _acknowledge(self, acknowledge: Acknowledge) -> None:
        try:
            await acknowledge()
        except Exception:  # the engine shows it again, and completing again changes nothing
            log.exception("a committed result could not be acknowledged")

    async def _count(self, result: EngineResult, *, first: bool) -> None:
        async with self._uow(write=False) as uow:
            job = await uow.jobs.get(result.job_id)
        if job is None:
            self._metrics.stray_results.labels("unknown").inc()
            log.error("a result came for a job that nobody knows", state=result.state)
        elif not first:
            self._metrics.stray_results.labels("duplicate").inc()
            log.info("a result came for a job that had ended", state=result.state, was=job.state)
        else:
            self._metrics.jobs.labels(str(job.state)).inc()
            if job.state is JobState.FAILED:
                self._metrics.failures.labels(result.error_kind or "internal").inc()
            if job.started_at is not None and job.finished_at is not None:
                seconds = (job.finished_at - job.started_at).total_seconds()
                self._metrics.run_seconds.labels(job.generator).observe(seconds)
            log.info("job ended", state=str(job.state), gpu_ms=job.gpu_ms)
