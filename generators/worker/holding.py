"""The jobs in a worker's hands, and how it lets go of them: stored, published, acknowledged.

No torch. A job that came in is in one of four places: `waiting`, `running` (in the child's batch),
`seated` (joined beside it) or `ending` (its outcome is being stored). Only
`generators.worker.supervisor` uses this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from generators.artifacts import ArtifactMissing, ArtifactStore
from generators.contract import BadRequest
from generators.engine.port import (
    EngineEvent,
    EngineJob,
    EngineResult,
    Lease,
    Struck,
    WorkerSource,
    failed_result,
    struck_out,
)
from generators.serving import Outcome
from generators.storing import keep

T = TypeVar("T")
log = structlog.get_logger(__name__)

_NOT_STORED = BadRequest(
    "The result could not be stored; please try again later.", "结果无法保存，请稍后再试。"
)
_INPUT_GONE = "The {name} this request needs is not there any more."
_INPUT_GONE_ZH = "这个请求所需的输入（{name}）已经不在了。"


@dataclass(slots=True)
class Held:
    """A lease in our hands; `job` carries our own count of strikes."""

    lease: Lease
    job: EngineJob


Place = dict[str, Held]


class Hands:
    """What one worker holds. `spawn` starts a task that outlives the caller; `on_change` is called
    whenever there is room again."""

    def __init__(
        self,
        source: WorkerSource,
        store: ArtifactStore,
        *,
        max_strikes: int,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        on_change: Callable[[], None],
    ) -> None:
        self._source, self._store = source, store
        self._max_strikes, self._spawn, self._on_change = max_strikes, spawn, on_change
        self.waiting: Place = {}
        self.running: Place = {}
        self.seated: Place = {}
        self.ending: Place = {}

    def __len__(self) -> int:
        return sum(map(len, (self.waiting, self.running, self.seated, self.ending)))

    def all(self) -> list[Held]:
        """Everything, wherever it is."""
        places = (self.waiting, self.running, self.seated, self.ending)
        return [held for place in places for held in place.values()]

    def busy(self) -> list[Held]:
        """What the model child has in its hands, as far as we know."""
        return [*self.running.values(), *self.seated.values()]

    def take(self, lease: Lease, problem: EngineResult | None) -> bool:
        """Take a job in, to wait; whether it does. One that cannot be run (`problem`), or has taken
        too many workers down, ends at once; one that we have goes on under its new lease."""
        job = lease.job
        for place in (self.waiting, self.running, self.seated):
            if job.id in place:
                place[job.id].lease = lease
                return False
        held = Held(lease, job)
        if problem is not None:
            self.end(held, problem)
        elif job.strikes >= self._max_strikes:
            self.end(held, struck_out(job.id, job.strikes))
        else:
            self.waiting[job.id] = held
            return True
        return False

    def drop_cancelled(self) -> None:
        """End what waits and is not wanted any more."""
        for held in [h for h in self.waiting.values() if self._source.cancelled(h.job.id)]:
            del self.waiting[held.job.id]
            self.end(held, EngineResult(job_id=held.job.id, state="cancelled"))

    async def inputs(self, job: EngineJob) -> dict[str, bytes]:
        """The bytes of a job's inputs. Raises BadRequest where they are gone."""
        found = {}
        for name, ref in job.inputs.items():
            try:
                found[name] = await self._store.get(ref.key)
            except (ArtifactMissing, OSError) as error:
                log.warning("an input is gone", job_id=job.id, input=name, error=str(error))
                raise BadRequest(
                    _INPUT_GONE.format(name=name), _INPUT_GONE_ZH.format(name=name)
                ) from error
        return found

    def settle(self, place: Place, outcome: Outcome) -> None:
        """The child has answered a job that was in this place."""
        held = place.pop(outcome.job_id, None)
        if held is None:
            return
        if outcome.state == "cancelled" and not self._source.cancelled(outcome.job_id):
            self.waiting[outcome.job_id] = held  # evicted while it ran, and sent again since
            return
        self.ending[outcome.job_id] = held
        self._spawn(self._conclude(held, outcome))

    async def strike(self, place: Place, job_ids: Collection[str]) -> None:
        """The child died with these jobs in its hands: a strike for each, and it waits again."""
        for job_id in job_ids:
            held = place.pop(job_id, None)
            if held is None:
                continue
            strikes = held.job.strikes + 1
            held.job = held.job.model_copy(update={"strikes": strikes})
            await self.emit(Struck(job_id=job_id, strikes=strikes))
            if self._source.cancelled(job_id):
                self.end(held, EngineResult(job_id=job_id, state="cancelled"))
            elif strikes >= self._max_strikes:
                self.end(held, struck_out(job_id, strikes))
            else:
                self.waiting[job_id] = held

    def fail(self, place: Place, reason: BadRequest) -> None:
        """End all in this place with this sentence."""
        for held in list(place.values()):
            del place[held.job.id]
            self.end(held, failed_result(held.job.id, reason, "internal"))

    def end(self, held: Held, result: EngineResult) -> None:
        """Let go of a job that is in no other place any more."""
        self.ending[held.job.id] = held
        self._spawn(self._publish(held, result))

    async def emit(self, event: EngineEvent) -> None:
        """Tell the gateway. Events may be lost; a closed engine is noticed."""
        with suppress(OSError):
            await self._source.emit(event)

    async def _conclude(self, held: Held, outcome: Outcome) -> None:
        """Store what came out, then publish the result."""
        result = EngineResult(
            job_id=outcome.job_id,
            state=outcome.state,
            receipt=None if outcome.receipt is None else dict(outcome.receipt),
            gpu_ms=outcome.gpu_ms,
            error=outcome.error,
            error_zh=outcome.error_zh,
            error_kind=outcome.error_kind,
        )
        if self._source.cancelled(held.job.id):
            result = EngineResult(job_id=held.job.id, state="cancelled", gpu_ms=outcome.gpu_ms)
        elif outcome.state == "done":
            try:
                refs = await keep(self._store, outcome.media, owner=held.job.owner)
                result = result.model_copy(update={"artifacts": refs})
            except OSError as error:
                log.error("a result cannot be stored", job_id=held.job.id, error=str(error))
                result = failed_result(held.job.id, _NOT_STORED, "internal")
        await self._publish(held, result)

    async def _publish(self, held: Held, result: EngineResult) -> None:
        await patiently(lambda: held.lease.done(result))
        if self.ending.get(held.job.id) is held:
            del self.ending[held.job.id]
        log.info(
            "job ended",
            job_id=held.job.id,
            community=held.job.community,
            state=result.state,
            gpu_ms=result.gpu_ms,
            error=result.error,
        )
        self._on_change()


async def patiently(action: Callable[[], Awaitable[T]]) -> T:
    """Do it as often as a lost broker makes necessary; only EngineClosed gets through."""
    pause_s = 0.1
    while True:
        try:
            return await action()
        except OSError as error:
            log.warning("the engine is away", error=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 10.0)
