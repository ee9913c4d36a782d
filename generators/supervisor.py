"""The supervisor of a generation worker: lease, batch, child, store, result, acknowledge.

No torch. One loop for every engine: a `WorkerSource` brings jobs, a `ModelChild` runs them, an
`ArtifactStore` keeps what came out. `generators.worker` is its process; tests run it in theirs.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from generators import batching, catalog
from generators.artifacts import ArtifactMissing, ArtifactStore
from generators.child import ChildDied, ChildUnavailable, ModelChild, StepReport
from generators.contract import BadRequest
from generators.engine.port import (
    Capacity,
    EngineClosed,
    EngineEvent,
    EngineJob,
    EngineResult,
    Heartbeat,
    Lease,
    Progress,
    Started,
    Struck,
    WorkerSource,
    failed_result,
    struck_out,
)
from generators.serving import NO_RESULT, Outcome
from generators.settings import GeneratorSettings
from generators.storing import keep
from generators.validation import checked_params

T = TypeVar("T")
log = structlog.get_logger(__name__)

_REPORT_S = 2.0  # between two capacity events, at most
_CANCEL_POLL_S = 0.05
_LOOKAHEAD_S = 0.1  # how long before the end of a batch the next one is asked for
_NOT_STORED = BadRequest(
    "The result could not be stored; please try again later.", "结果无法保存，请稍后再试。"
)
_NO_START = BadRequest(
    "The model process does not start; its log tells the host why.",
    "模型进程无法启动；主人可以在日志中查看原因。",
)
_NO_TRAINING = BadRequest(
    "This worker makes media; it does not train.", "这个工作进程只负责生成，不负责训练。"
)
_INPUT_GONE = "The {name} this request needs is not there any more."
_INPUT_GONE_ZH = "这个请求所需的输入（{name}）已经不在了。"


@dataclass(slots=True)
class _Held:
    """A lease in our hands; `job` carries our own count of strikes."""

    lease: Lease
    job: EngineJob


class Worker:
    """One supervisor. `run` serves until the engine is closed for good."""

    def __init__(
        self,
        source: WorkerSource,
        store: ArtifactStore,
        child: ModelChild,
        settings: GeneratorSettings,
        *,
        worker_id: str = "",
    ) -> None:
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}"
        self._source, self._store, self._child = source, store, child
        self._settings = settings
        self._waiting: dict[str, _Held] = {}
        self._running: dict[str, _Held] = {}
        self._ending: dict[str, _Held] = {}  # has its outcome, which is being stored
        self._arrived, self._changed, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._typical_items = 4.0
        self._batch_items = 16
        self._batch_began = self._progress_at = 0.0
        self._batch_lasts_s = 0.0  # as the last batch did, or as this one's steps say
        child.watch(self._note_change)

    async def run(self) -> None:
        """Serve until EngineClosed, which is this method's normal end."""
        with suppress(EngineClosed):
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    for loop in (self._take_in, self._run_batches, self._beat, self._report):
                        group.create_task(loop(), name=loop.__name__)
            except* EngineClosed as closed:
                raise EngineClosed from closed

    # ------------------------------------------------------------------ jobs come in

    async def _take_in(self) -> None:
        while True:
            # Taking in what was sent to us costs nothing, and makes fuller batches of mixed kinds.
            limit = 2 * self._batch_items - self._held_count()
            if limit <= 0:
                self._room.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REPORT_S):
                        await self._room.wait()
                continue
            window_s = self._settings.batch_window_ms / 1000
            for lease in await self._patiently(
                lambda: self._source.fetch(limit, window_s=window_s, block=True)  # noqa: B023
            ):
                self._accept(lease)
            self._note_change()

    def _accept(self, lease: Lease) -> None:
        known = self._waiting.get(lease.job.id) or self._running.get(lease.job.id)
        if known is not None:  # it came again while we have it: go on, under the new lease
            known.lease = lease
            return
        held = _Held(lease, lease.job)
        problem = _problem(lease.job)
        if problem is not None:
            self._end(held, problem)
        elif lease.job.strikes >= self._settings.max_strikes:
            self._end(held, struck_out(lease.job.id, lease.job.strikes))
        else:
            self._typical_items += 0.2 * (lease.job.count - self._typical_items)
            self._waiting[lease.job.id] = held
            self._arrived.set()

    def _wanted(self) -> int:
        """How many jobs to have in hand; no more than we have while a batch is far from its end,
        so that the gateway keeps the choice of what comes next until it matters."""
        in_hand = len(self._waiting) + len(self._running)
        if self._running and self._remaining_s() > _LOOKAHEAD_S:
            return in_hand
        return batching.wanted_slots(
            running_jobs=len(self._running),
            waiting=[held.job for held in self._waiting.values()],
            batch_items=self._batch_items,
            typical_items=self._typical_items,
        )

    def _slots(self) -> int:
        """What to tell the gateway. It counts a job until its result is there; batches of a moment
        should not wait for that, after longer ones the place is offered when it is free."""
        quick = self._batch_lasts_s <= _LOOKAHEAD_S
        return self._wanted() + (len(self._ending) if quick else 0)

    def _remaining_s(self) -> float:
        elapsed = asyncio.get_running_loop().time() - self._batch_began
        return self._batch_lasts_s - elapsed

    def _held_count(self) -> int:
        return len(self._waiting) + len(self._running) + len(self._ending)

    # ------------------------------------------------------------------ batches run

    async def _run_batches(self) -> None:
        while True:
            for held in [h for h in self._waiting.values() if self._source.cancelled(h.job.id)]:
                del self._waiting[held.job.id]
                self._end(held, EngineResult(job_id=held.job.id, state="cancelled"))
            waiting = [held.job for held in self._waiting.values()]
            batch = batching.form_batch(waiting, _max_items)
            if batch:
                self._batch_items = _max_items(batch[0])
                for job in batch:
                    self._running[job.id] = self._waiting.pop(job.id)
                await self._run_batch(batch)
                self._note_change()
            else:
                self._arrived.clear()
                with suppress(TimeoutError):  # look now and then for cancelled ones
                    async with asyncio.timeout(1.0 if self._waiting else None):
                        await self._arrived.wait()

    async def _run_batch(self, batch: Sequence[EngineJob]) -> None:
        loop = asyncio.get_running_loop()
        self._batch_began = self._progress_at = loop.time()
        inputs = {job.id: await self._inputs(job) for job in batch}
        jobs = [job for job in batch if job.id in self._running]
        if not jobs:
            return
        items = sum(job.count for job in jobs)
        log.info("batch", jobs=[job.id for job in jobs], items=items, compat=jobs[0].compat)
        for job in jobs:
            await self._emit(Started(job_id=job.id, worker_id=self.worker_id, batch_size=items))
        self._note_change()
        pass_on = asyncio.create_task(self._pass_on_cancels())
        try:
            async for message in self._child.run(jobs, {job.id: inputs[job.id] for job in jobs}):
                self._progress_at = loop.time()
                if isinstance(message, StepReport):
                    await self._report_step(message)
                elif message.job_id in self._running:
                    self._take_out(self._running.pop(message.job_id), message)
        except ChildDied as error:
            log.error("the model child died", reason=str(error), jobs=list(self._running))
            await self._strike()
        except ChildUnavailable:
            self._fail_running(_NO_START)
        finally:
            pass_on.cancel()
        self._fail_running(NO_RESULT)
        self._batch_lasts_s = loop.time() - self._batch_began

    def _take_out(self, held: _Held, outcome: Outcome) -> None:
        job_id = held.job.id
        if outcome.state == "cancelled" and not self._source.cancelled(job_id):
            self._waiting[job_id] = held  # evicted while it ran, and sent again since
            return
        self._ending[job_id] = held
        self._group.create_task(self._conclude(held, outcome))

    async def _inputs(self, job: EngineJob) -> dict[str, bytes]:
        """The bytes of a job's inputs; where they are gone, the job has failed."""
        found = {}
        for name, ref in job.inputs.items():
            try:
                found[name] = await self._store.get(ref.key)
            except (ArtifactMissing, OSError) as error:
                log.warning("an input is gone", job_id=job.id, input=name, error=str(error))
                reason = BadRequest(_INPUT_GONE.format(name=name), _INPUT_GONE_ZH.format(name=name))
                self._end(self._running.pop(job.id), failed_result(job.id, reason, "bad_request"))
                break
        return found

    async def _pass_on_cancels(self) -> None:
        told: set[str] = set()
        while True:
            for job_id in self._running:
                if job_id not in told and self._source.cancelled(job_id):
                    told.add(job_id)
                    self._child.cancel(job_id)
            await asyncio.sleep(_CANCEL_POLL_S)

    async def _report_step(self, report: StepReport) -> None:
        elapsed = asyncio.get_running_loop().time() - self._batch_began
        self._batch_lasts_s = elapsed * report.total_steps / report.inference_step
        for job_id in report.job_ids:
            preview = report.previews.get(job_id)
            await self._emit(
                Progress(
                    job_id=job_id,
                    inference_step=report.inference_step,
                    total_steps=report.total_steps,
                    text=report.texts.get(job_id),
                    preview_mime=preview.mime if preview else None,
                    preview=preview.data if preview else None,
                )
            )
        if self._remaining_s() <= _LOOKAHEAD_S:
            self._note_change()

    async def _strike(self) -> None:
        """The child died: a strike for each job that was in it. They go to the back, one by one."""
        for held in list(self._running.values()):
            del self._running[held.job.id]
            strikes = held.job.strikes + 1
            held.job = held.job.model_copy(update={"strikes": strikes})
            await self._emit(Struck(job_id=held.job.id, strikes=strikes))
            if self._source.cancelled(held.job.id):
                self._end(held, EngineResult(job_id=held.job.id, state="cancelled"))
            elif strikes >= self._settings.max_strikes:
                self._end(held, struck_out(held.job.id, strikes))
            else:
                self._waiting[held.job.id] = held

    def _fail_running(self, reason: BadRequest) -> None:
        for held in list(self._running.values()):
            del self._running[held.job.id]
            self._end(held, failed_result(held.job.id, reason, "internal"))

    # ------------------------------------------------------------------ results go out

    async def _conclude(self, held: _Held, outcome: Outcome) -> None:
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

    def _end(self, held: _Held, result: EngineResult) -> None:
        self._ending[held.job.id] = held
        self._group.create_task(self._publish(held, result))

    async def _publish(self, held: _Held, result: EngineResult) -> None:
        await self._patiently(lambda: held.lease.done(result))
        if self._ending.get(held.job.id) is held:
            del self._ending[held.job.id]
        log.info(
            "job ended",
            job_id=held.job.id,
            community=held.job.community,
            state=result.state,
            gpu_ms=result.gpu_ms,
            error=result.error,
        )
        self._note_change()

    # ------------------------------------------------------------------ signs of life

    async def _beat(self) -> None:
        """Keep what we hold, but let go of what a child sits on without any progress."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            stalled = bool(self._running) and (
                loop.time() - self._progress_at > self._settings.stall_s
            )
            quiet = set(self._running) if stalled else set()
            for held in [*self._waiting.values(), *self._running.values(), *self._ending.values()]:
                if held.job.id not in quiet:
                    with suppress(OSError):
                        await held.lease.beat()
                    await self._emit(Heartbeat(job_id=held.job.id, worker_id=self.worker_id))

    async def _report(self) -> None:
        """Tell what we can take: at every change, and every two seconds."""
        while True:
            self._changed.clear()
            await self._emit(self._capacity())
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_S):
                    await self._changed.wait()

    def _capacity(self) -> Capacity:
        status = self._child.status
        return Capacity(
            worker_id=self.worker_id,
            state=status.state,
            slots=self._slots(),
            held=self._held_count(),
            loaded_models=status.loaded_models,
            device=status.device,
            memory_bytes=status.memory_bytes,
        )

    def _note_change(self) -> None:
        self._changed.set()
        self._room.set()

    async def _emit(self, event: EngineEvent) -> None:
        with suppress(OSError):  # events may be lost; a closed engine is noticed
            await self._source.emit(event)

    async def _patiently(self, action: Callable[[], Awaitable[T]]) -> T:
        """Do it as often as a lost broker makes necessary; only EngineClosed gets through."""
        pause_s = 0.1
        while True:
            try:
                return await action()
            except OSError as error:
                log.warning("the engine is away", error=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 10.0)


def _problem(job: EngineJob) -> EngineResult | None:
    """Why a job cannot be run by this worker at all, or None."""
    if job.kind != "generate":
        return failed_result(job.id, _NO_TRAINING, "internal")
    try:
        checked_params(job.generator, job.params, seed=job.seed, count=job.count)
    except BadRequest as error:
        return failed_result(job.id, error, "bad_request")
    return None


def _max_items(job: EngineJob) -> int:
    return catalog.spec(job.generator).max_batch
