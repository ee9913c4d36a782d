"""The supervisor of a generation worker: lease, batch or seat, child, store, result, acknowledge.

No torch. One loop for every engine: a `WorkerSource` brings jobs, a `ModelChild` runs them, an
`ArtifactStore` keeps what came out. Jobs of continuous generators are seated beside whatever runs
as soon as they come; the others run in batches, one at a time. `generators.worker` is its process;
tests run it in theirs.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

import structlog

from generators import catalog
from generators.artifacts import ArtifactStore
from generators.contract import BadRequest
from generators.engine.port import (
    Capacity,
    EngineClosed,
    EngineJob,
    EngineResult,
    Heartbeat,
    Progress,
    Started,
    WorkerSource,
    failed_result,
)
from generators.serving import NO_RESULT
from generators.settings import GeneratorSettings
from generators.validation import checked_params
from generators.worker import batching
from generators.worker.child import ChildDied, ChildUnavailable, ModelChild, StepReport
from generators.worker.holding import Hands, patiently

log = structlog.get_logger(__name__)

_REPORT_S = 2.0  # between two capacity events, at most
_CANCEL_POLL_S = 0.05
_LOOKAHEAD_S = 0.1  # how long before the end of a batch the next one is asked for
_NO_START = BadRequest(
    "The model process does not start; its log tells the host why.",
    "模型进程无法启动；主人可以在日志中查看原因。",
)
_NO_TRAINING = BadRequest(
    "This worker makes media; it does not train.", "这个工作进程只负责生成，不负责训练。"
)


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
        self._source, self._child, self._settings = source, child, settings
        self._hands = Hands(
            source,
            store,
            max_strikes=settings.max_strikes,
            spawn=lambda ending: self._group.create_task(ending),
            on_change=self._note_change,
        )
        self._batch_due, self._guest_due = asyncio.Event(), asyncio.Event()
        self._changed, self._room, self._busy = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._alone = False  # a job that took a worker down runs, or is about to, by itself
        self._typical_items = 4.0
        self._batch_items = 16
        self._batch_began = self._progress_at = 0.0
        self._batch_lasts_s = 0.0  # as the last batch did, or as this one's steps say
        child.watch(self._note_change)

    async def run(self) -> None:
        """Serve until EngineClosed, which is this method's normal end."""
        loops = (
            self._take_in,
            self._run_batches,
            self._seat_guests,
            self._hear_guests,
            self._pass_on_cancels,
            self._beat,
            self._report,
        )
        with suppress(EngineClosed):
            try:
                async with asyncio.TaskGroup() as group:
                    self._group = group
                    for loop in loops:
                        group.create_task(loop(), name=loop.__name__)
            except* EngineClosed as closed:
                raise EngineClosed from closed

    # ------------------------------------------------------------------ jobs come in

    async def _take_in(self) -> None:
        while True:
            # Taking in what was sent to us costs nothing, and makes fuller batches of mixed kinds.
            limit = 2 * self._batch_items + batching.GUEST_ITEMS - len(self._hands)
            if limit <= 0:
                self._room.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_REPORT_S):
                        await self._room.wait()
                continue
            window_s = self._settings.batch_window_ms / 1000
            for lease in await patiently(
                lambda: self._source.fetch(limit, window_s=window_s, block=True)  # noqa: B023
            ):
                if self._hands.take(lease, _problem(lease.job)) and not _is_guest(lease.job):
                    self._typical_items += 0.2 * (lease.job.count - self._typical_items)
            self._note_due()
            self._note_change()

    def _waiting(self) -> list[EngineJob]:
        """What waits for a batch."""
        jobs = [held.job for held in self._hands.waiting.values()]
        return [job for job in jobs if not _is_guest(job)]

    def _wanted(self) -> int:
        """How many jobs for batches to have in hand; no more than we have while a batch is far from
        its end, so that the gateway keeps the choice of what comes next until it matters."""
        waiting, running = self._waiting(), len(self._hands.running)
        if running and self._remaining_s() > _LOOKAHEAD_S:
            return len(waiting) + running
        return batching.wanted_slots(
            running_jobs=running,
            waiting=waiting,
            batch_items=self._batch_items,
            typical_items=self._typical_items,
        )

    def _slots(self) -> int:
        """What to tell the gateway. It counts a job until its result is there; batches of a moment
        should not wait for that, after longer ones the place is offered when it is free."""
        ending = sum(not _is_guest(held.job) for held in self._hands.ending.values())
        quick = self._batch_lasts_s <= _LOOKAHEAD_S
        return self._wanted() + (ending if quick else 0)

    def _remaining_s(self) -> float:
        elapsed = asyncio.get_running_loop().time() - self._batch_began
        return self._batch_lasts_s - elapsed

    # ------------------------------------------------------------------ batches run

    async def _run_batches(self) -> None:
        while True:
            self._hands.drop_cancelled()
            batch = batching.form_batch(self._waiting(), _max_items)
            self._alone = bool(batch) and bool(batch[0].strikes)
            if batch and not (self._alone and self._hands.seated):
                self._batch_items = _max_items(batch[0])
                for job in batch:
                    self._hands.running[job.id] = self._hands.waiting.pop(job.id)
                await self._run_batch(batch)
                self._alone = False
                self._note_due()
                self._note_change()
            else:
                await self._until(self._batch_due)

    async def _until(self, due: asyncio.Event) -> None:
        """Wait for this, looking now and then for what was cancelled."""
        due.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0 if self._hands.waiting else None):
                await due.wait()

    async def _run_batch(self, batch: Sequence[EngineJob]) -> None:
        loop = asyncio.get_running_loop()
        running = self._hands.running
        self._batch_began = self._progress_at = loop.time()
        inputs = {}
        for job in batch:
            try:
                inputs[job.id] = await self._hands.inputs(job)
            except BadRequest as error:
                gone = running.pop(job.id)
                self._hands.end(gone, failed_result(job.id, error, "bad_request"))
        jobs = [job for job in batch if job.id in running]
        if not jobs:
            return
        await self._tell_started(jobs, sum(job.count for job in jobs))
        self._note_change()
        try:
            async for news in self._child.run(jobs, {job.id: inputs[job.id] for job in jobs}):
                self._progress_at = loop.time()
                if isinstance(news, StepReport):
                    await self._report_step(news)
                    elapsed = loop.time() - self._batch_began
                    self._batch_lasts_s = elapsed * news.total_steps / news.inference_step
                    if self._remaining_s() <= _LOOKAHEAD_S:
                        self._note_change()
                else:
                    self._hands.settle(running, news)
        except ChildDied:
            log.error("the model child died", jobs=list(running))
            await self._hands.strike(running, list(running))
        except ChildUnavailable:
            self._hands.fail(running, _NO_START)
        self._hands.fail(running, NO_RESULT)
        self._batch_lasts_s = loop.time() - self._batch_began

    # ------------------------------------------------------------------ guests are seated

    async def _seat_guests(self) -> None:
        while True:
            self._hands.drop_cancelled()
            guests = self._next_guests()
            if not guests:
                await self._until(self._guest_due)
                continue
            for job in guests:
                self._hands.seated[job.id] = self._hands.waiting.pop(job.id)
            await self._seat(guests)

    async def _seat(self, guests: Sequence[EngineJob]) -> None:
        """Hand them to the child together: who begins together shares the first step."""
        seated, inputs = self._hands.seated, {}
        for job in guests:
            try:
                inputs[job.id] = await self._hands.inputs(job)
            except BadRequest as error:
                self._hands.end(seated.pop(job.id), failed_result(job.id, error, "bad_request"))
        jobs = [job for job in guests if job.id in inputs]
        if not jobs:
            return
        await self._tell_started(jobs, self._guest_items())
        self._progress_at = asyncio.get_running_loop().time()
        try:
            await self._child.join(jobs, inputs)
        except ChildDied:  # before they were there
            for job in jobs:
                self._hands.waiting[job.id] = seated.pop(job.id)
        except ChildUnavailable:
            for job in jobs:
                self._hands.end(seated.pop(job.id), failed_result(job.id, _NO_START, "internal"))

    def _next_guests(self) -> list[EngineJob]:
        """Those of who wait for a seat, oldest first, for whom there is one."""
        if self._alone:
            return []
        guests, items = [], self._guest_items()
        for held in self._hands.waiting.values():
            if not _is_guest(held.job):
                continue
            if items and items + held.job.count > batching.GUEST_ITEMS:
                break
            guests.append(held.job)
            items += held.job.count
        return guests

    def _guest_items(self) -> int:
        return sum(held.job.count for held in self._hands.seated.values())

    async def _hear_guests(self) -> None:
        while True:
            try:
                async for news in self._child.joined():
                    self._progress_at = asyncio.get_running_loop().time()
                    if isinstance(news, StepReport):
                        await self._report_step(news)
                    else:
                        self._hands.settle(self._hands.seated, news)
                        self._note_due()
                        self._note_change()
            except ChildDied as died:
                log.error("the model child died", jobs=sorted(died.guests))
                await self._hands.strike(self._hands.seated, sorted(died.guests))
                self._note_due()

    # ------------------------------------------------------------------ news of what runs

    async def _tell_started(self, jobs: Sequence[EngineJob], items: int) -> None:
        log.info("started", jobs=[job.id for job in jobs], items=items, compat=jobs[0].compat)
        self._busy.set()
        for job in jobs:
            started = Started(job_id=job.id, worker_id=self.worker_id, batch_size=items)
            await self._hands.emit(started)

    async def _report_step(self, report: StepReport) -> None:
        preview = report.preview
        await self._hands.emit(
            Progress(
                job_id=report.job_id,
                inference_step=report.inference_step,
                total_steps=report.total_steps,
                text=report.text,
                preview_mime=preview.mime if preview else None,
                preview=preview.data if preview else None,
            )
        )

    async def _pass_on_cancels(self) -> None:
        told: set[str] = set()
        while True:
            busy = [held.job.id for held in self._hands.busy()]
            told.intersection_update(busy)
            for job_id in busy:
                if job_id not in told and self._source.cancelled(job_id):
                    told.add(job_id)
                    self._child.cancel(job_id)
            if busy:
                await asyncio.sleep(_CANCEL_POLL_S)
            else:
                self._busy.clear()
                await self._busy.wait()

    # ------------------------------------------------------------------ signs of life

    async def _beat(self) -> None:
        """Keep what we hold, but let go of what a child sits on without any progress."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            stalled = loop.time() - self._progress_at > self._settings.stall_s
            quiet = {held.job.id for held in self._hands.busy()} if stalled else set()
            for held in self._hands.all():
                if held.job.id not in quiet:
                    with suppress(OSError):
                        await held.lease.beat()
                    beat = Heartbeat(job_id=held.job.id, worker_id=self.worker_id)
                    await self._hands.emit(beat)

    async def _report(self) -> None:
        """Tell what we can take: at every change, and every two seconds."""
        while True:
            self._changed.clear()
            await self._hands.emit(self._capacity())
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_S):
                    await self._changed.wait()

    def _capacity(self) -> Capacity:
        status = self._child.status
        return Capacity(
            worker_id=self.worker_id,
            state=status.state,
            slots=self._slots(),
            guest_items=0 if self._alone else batching.GUEST_ITEMS,
            held=len(self._hands),
            loaded_models=status.loaded_models,
            device=status.device,
            memory_bytes=status.memory_bytes,
        )

    def _note_change(self) -> None:
        self._changed.set()
        self._room.set()

    def _note_due(self) -> None:
        self._batch_due.set()
        self._guest_due.set()


def _is_guest(job: EngineJob) -> bool:
    """Whether the job is seated beside what runs. One with strikes runs alone, lest it take others
    down with it."""
    return catalog.spec(job.generator).continuous and not job.strikes


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
