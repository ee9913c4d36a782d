"""Where a job stands in line and when its result may be expected. Used by `JobService`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from statistics import mean

from bot.core.domain import Job, JobState
from bot.core.ports import Clock, UnitOfWork

MIN_FINISHED = 3
"""Fewer finished jobs than this say nothing about the pace."""


class Places:
    """Answers from one open transaction, reading the studio's pace once."""

    def __init__(self, uow: UnitOfWork, clock: Clock) -> None:
        self._uow, self._clock = uow, clock
        self._finished: list[datetime] | None = None

    async def of(self, job: Job) -> tuple[int, float | None]:
        """Position in line (1 is next, 0 once it was sent) and seconds until the result, None where
        nothing is known."""
        if job.state.ended:
            return 0, None
        own_s = job.reserved_gpu_ms / 1000
        pace_s = pace(await self._recent(), own_s)
        if job.state is not JobState.QUEUED:
            if pace_s is None or job.started_at is None:
                return 0, pace_s
            ran_s = (self._clock() - job.started_at).total_seconds()
            return 0, max(0.0, own_s - ran_s)
        position = 1 + await self._uow.jobs.waiting_before(job)
        return position, None if pace_s is None else position * pace_s

    async def _recent(self) -> list[datetime]:
        if self._finished is None:
            self._finished = await self._uow.jobs.recent_finish_times()
        return self._finished


def pace(finished: Sequence[datetime], own_s: float) -> float | None:
    """Seconds between two finished jobs while the studio is busy; None before it has finished some.

    The mean gap is the pace if there was always something to do. Idle times stretch it, so it is
    never taken to be longer than the job's own estimate: a single worker that is never idle needs
    just that per job, several need less."""
    if len(finished) < MIN_FINISHED:
        return None
    ordered = sorted(finished)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(ordered)]
    return min(mean(gaps), own_s)
