"""The engine in this process: keeps jobs in memory and starts nothing. No torch.

Ships for trying things out and carries fast tests. Its script is the port's own worker side: take a
`source()`, fetch leases, emit events and end the leases as the case at hand demands, or let
`answer_all` do it. It keeps every promise of the port and nothing more: a waiting job that is
cancelled is forgotten without a word, and `lose` forgets everything, as a broker may.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from generators.engine.port import (
    Acknowledge,
    Capacity,
    EngineClosed,
    EngineEvent,
    EngineJob,
    EngineResult,
    Lease,
    Started,
)

_MAX_EVENTS = 4096


class MemoryEngine:
    """Both ends at once: the gateway's `Engine`, and `source()` for workers."""

    def __init__(self) -> None:
        self._waiting: dict[str, EngineJob] = {}
        self._leased: dict[str, MemoryLease] = {}
        self._results: dict[str, EngineResult] = {}
        self._to_show: deque[str] = deque()
        self._events: deque[EngineEvent] = deque(maxlen=_MAX_EVENTS)
        self._changed = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> MemoryEngine:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True
        self._changed.set()

    @property
    def held(self) -> frozenset[str]:
        """The jobs that wait here or are in a worker's hands."""
        return frozenset(self._waiting) | frozenset(self._leased)

    @property
    def unacknowledged(self) -> frozenset[str]:
        """The jobs whose results were not acknowledged yet."""
        return frozenset(self._results)

    def lose(self) -> None:
        """Forget all jobs and results, like a broker that lost its disk."""
        for lease in self._leased.values():
            lease.unwanted = True
        self._waiting.clear()
        self._leased.clear()
        self._results.clear()
        self._to_show.clear()

    def show_again(self) -> None:
        """Show every result again that was not acknowledged."""
        self._to_show = deque(self._results)
        self._changed.set()

    def source(self) -> MemorySource:
        """A worker's end."""
        return MemorySource(self)

    async def send(self, job: EngineJob) -> None:
        if self._closed:
            raise EngineClosed
        if job.id not in self.held and job.id not in self._results:
            self._waiting[job.id] = job
            self._changed.set()

    async def cancel(self, job_id: str) -> None:
        self._waiting.pop(job_id, None)
        if job_id in self._leased:
            self._leased[job_id].cancelled = True

    async def evict(self, job_id: str) -> None:
        self._waiting.pop(job_id, None)
        lease = self._leased.pop(job_id, None)
        if lease is not None:
            lease.unwanted = True

    async def pause(self, job_id: str) -> None:
        """Nothing trains here."""

    async def resume(self, job_id: str) -> None:
        """Nothing trains here."""

    async def results(self) -> AsyncIterator[tuple[EngineResult, Acknowledge]]:
        self.show_again()
        while True:
            await self.until(lambda: bool(self._to_show))
            if self._closed:
                return
            job_id = self._to_show.popleft()
            if job_id in self._results:
                yield self._results[job_id], partial(self._acknowledge, job_id)

    async def events(self) -> AsyncIterator[EngineEvent]:
        while True:
            await self.until(lambda: bool(self._events))
            if self._closed:
                return
            yield self._events.popleft()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds here, or the engine is closed."""
        while not self._closed and not condition():
            self._changed.clear()
            await self._changed.wait()

    def _take(self, limit: int) -> list[MemoryLease]:
        jobs = list(self._waiting.values())[:limit]
        leases = [MemoryLease(self, job) for job in jobs]
        for lease in leases:
            self._leased[lease.job.id] = lease
            del self._waiting[lease.job.id]
        return leases

    def _tell(self, event: EngineEvent) -> None:
        self._events.append(event)
        self._changed.set()

    def _end(self, lease: MemoryLease, result: EngineResult) -> None:
        if not lease.unwanted and self._leased.pop(lease.job.id, None) is not None:
            self._results[result.job_id] = result
            self._to_show.append(result.job_id)
            self._changed.set()

    async def _acknowledge(self, job_id: str) -> None:
        self._results.pop(job_id, None)


@dataclass(slots=True, eq=False)
class MemoryLease:
    """A job in a worker's hands. `unwanted`: evicted or forgotten, its result counts no more."""

    engine: MemoryEngine
    job: EngineJob
    cancelled: bool = False
    unwanted: bool = False

    async def beat(self) -> None:
        """Leases here do not run out."""

    async def done(self, result: EngineResult) -> None:
        """End the lease with this result."""
        self.engine._end(self, result)


class MemorySource:
    """A `WorkerSource` over the engine in the same process."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine

    async def fetch(self, limit: int, *, window_s: float = 0.0, block: bool = False) -> list[Lease]:
        engine = self._engine
        if block:
            await engine.until(lambda: bool(engine._waiting))
            with suppress(TimeoutError):
                async with asyncio.timeout(window_s):
                    await engine.until(lambda: len(engine._waiting) >= limit)
        if engine._closed:
            raise EngineClosed
        return list(engine._take(limit))

    async def emit(self, event: EngineEvent) -> None:
        self._engine._tell(event)

    def cancelled(self, job_id: str) -> bool:
        lease = self._engine._leased.get(job_id)
        return lease is None or lease.cancelled


async def answer_all(
    engine: MemoryEngine,
    answer: Callable[[EngineJob], EngineResult],
    *,
    slots: int = 8,
    worker_id: str = "memory",
) -> None:
    """A whole worker: says that it is ready and answers every job at once, until cancelled."""
    source = engine.source()
    await source.emit(Capacity(worker_id=worker_id, state="ready", slots=slots, held=0))
    while True:
        leases = await source.fetch(slots, block=True)
        items = sum(lease.job.count for lease in leases)
        for lease in leases:
            job_id = lease.job.id
            await source.emit(Started(job_id=job_id, worker_id=worker_id, batch_size=items))
        for lease in leases:
            await lease.done(answer(lease.job))
