"""The supervisor's side of the model child: start it, feed it, start it again when it dies.

Two lanes lead there: `run` for batches, one at a time, and `join` for jobs that run beside them and
each other, whose news come from `joined`.

No torch. Model code runs in a process of its own because it may crash it, fill its memory or hold
its interpreter lock for seconds; none of that may stop heartbeats or lose a job.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from generators import processes
from generators.contract import Media
from generators.engine import frames
from generators.engine.port import EngineJob
from generators.serving import Outcome

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.05
_FAILED_STARTS = 3
_GRACE_S = 1.0  # for a child that was told to end


class ChildDied(Exception):
    """The model child died, or was killed for its silence, with jobs in its hands: `guests` are
    those that had joined."""

    def __init__(self, guests: frozenset[str] = frozenset()) -> None:
        super().__init__("the model child is gone")
        self.guests = guests


class ChildUnavailable(Exception):
    """The model child does not even start; its log says why."""


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What the child last said of itself."""

    state: Literal["loading", "ready"] = "loading"
    device: str = ""
    memory_bytes: int = 0
    loaded_models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of one job: the text so far, a preview."""

    job_id: str
    inference_step: int
    total_steps: int
    text: str | None = None
    preview: Media | None = None


News = StepReport | Outcome


class ModelChild:
    """One model child, kept alive. `on_status` is called whenever `status` has changed."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        stall_s: float,
        on_status: Callable[[], None] = lambda: None,
    ) -> None:
        self._command, self._environment = command, environment
        self._stall_s, self._on_status = stall_s, on_status
        self.status = ChildStatus()
        self._batch: asyncio.Queue[News | ChildDied | None] = asyncio.Queue()  # None: the end
        self._beside: asyncio.Queue[News | ChildDied | None] = asyncio.Queue()
        self._guests: set[str] = set()  # jobs that have joined and have no outcome yet
        self._heard_at = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._process: processes.ProcessHandle | None = None
        self._up = asyncio.Event()
        self._came_up = False
        self._failed_starts = 0
        self._keeper = processes.Keeper(
            "model child", self._one_child, self._after_death, first_pause_s=_FIRST_PAUSE_S
        )

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> ModelChild:
        self._keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._keeper.stop()

    def watch(self, on_status: Callable[[], None]) -> None:
        """Call this whenever `status` has changed."""
        self._on_status = on_status

    async def run(
        self, jobs: Sequence[EngineJob], inputs: Mapping[str, Mapping[str, bytes]]
    ) -> AsyncIterator[News]:
        """Run one batch: steps as they are taken, one outcome per job. Only one at a time.

        Raises ChildDied where the child is gone before the end (jobs without an outcome have
        none), ChildUnavailable where it cannot be started.
        """
        await self._until_up()
        while not self._batch.empty():
            self._batch.get_nowait()
        self._write_jobs("run", jobs, inputs)
        while (news := await self._next(self._batch)) is not None:
            yield news

    async def join(
        self, jobs: Sequence[EngineJob], inputs: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        """Let continuous jobs join what runs; their news come from `joined`.

        Raises ChildDied or ChildUnavailable where there is no child to join.
        """
        await self._until_up()
        ids = {job.id for job in jobs}
        self._guests |= ids
        try:
            self._write_jobs("join", jobs, inputs)
        except ChildDied:
            self._guests -= ids
            raise

    async def joined(self) -> AsyncIterator[News]:
        """News of the jobs that have joined, for one reader; ends only by its being cancelled, or
        with ChildDied where the child is gone with some of them (they have no outcome then)."""
        while True:
            if (news := await self._next(self._beside)) is not None:
                yield news

    def cancel(self, job_id: str) -> None:
        """Have the job stopped at its next step."""
        if self._writer is not None:
            header = {"type": "cancel", "job_id": job_id}
            self._writer.write(frames.encode(frames.Frame(header)))

    async def _until_up(self) -> None:
        while not self._up.is_set():
            if self._failed_starts >= _FAILED_STARTS:
                self._failed_starts = 0  # who comes next tries afresh
                raise ChildUnavailable
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._up.wait()

    def _write_jobs(
        self, kind: str, jobs: Sequence[EngineJob], inputs: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        pairs = [(job_id, name) for job_id, named in inputs.items() for name in named]
        header = {
            "type": kind,
            "jobs": [job.model_dump(mode="json") for job in jobs],
            "inputs": pairs,
        }
        frame = frames.with_blobs(header, [inputs[job_id][name] for job_id, name in pairs])
        if self._writer is None:
            raise ChildDied
        self._writer.write(frames.encode(frame))
        self._heard_at = asyncio.get_running_loop().time()

    async def _next(self, queue: asyncio.Queue[News | ChildDied | None]) -> News | None:
        """What comes next. A child that says nothing for too long while it has work is killed."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(self._stall_s):
                    news = await queue.get()
            except TimeoutError:
                working = queue is self._batch or self._guests
                if working and loop.time() - self._heard_at >= self._stall_s:
                    self._kill_silent()
                continue
            if isinstance(news, ChildDied):
                raise news
            return news

    def _kill_silent(self) -> None:
        log.error("the model child made no progress; it is restarted", after_s=self._stall_s)
        if self._process is not None:
            self._process.kill()

    async def _one_child(self) -> int:
        """One child's life; returns its exit status. Cancelled, it ends the child first."""
        async with processes.linked(self._spawn, grace_s=_GRACE_S) as link:
            self._process, self._writer = link.process, link.writer
            try:
                with suppress(ConnectionError, frames.FrameError, KeyError):
                    while (frame := await frames.read(link.reader)) is not None:
                        self._take(frame)
                self._up.clear()
                return await processes.ended(link.process, grace_s=_GRACE_S)
            finally:
                self._up.clear()
                self._process = self._writer = None

    async def _spawn(self, end: socket.socket) -> processes.ProcessHandle:
        return await processes.start(self._command, end, self._environment)

    def _take(self, frame: frames.Frame) -> None:
        header = frame.header
        self._heard_at = asyncio.get_running_loop().time()
        if header["type"] == "outcome":
            outcome = Outcome.from_frame(frame)
            lane = self._beside if outcome.job_id in self._guests else self._batch
            self._guests.discard(outcome.job_id)
            lane.put_nowait(outcome)
        elif header["type"] == "progress":
            for report in _step_reports(frame):
                lane = self._beside if report.job_id in self._guests else self._batch
                lane.put_nowait(report)
        elif header["type"] == "end":
            self._batch.put_nowait(None)
        else:
            self._take_status(header)

    def _take_status(self, header: Mapping[str, Any]) -> None:
        self._up.set()
        self._came_up = True
        self._set_status(
            ChildStatus(
                state="ready" if header["ready"] else "loading",
                device=header["device"],
                memory_bytes=header["memory_bytes"],
                loaded_models=tuple(header["loaded_models"]),
            )
        )

    def _after_death(self, status: int) -> bool:
        """Tell both lanes; a life was good where the child came up."""
        came_up, self._came_up = self._came_up, False
        self._failed_starts = 0 if came_up else self._failed_starts + 1
        self._batch.put_nowait(ChildDied())
        if self._guests:
            self._beside.put_nowait(ChildDied(frozenset(self._guests)))
            self._guests.clear()
        self._set_status(ChildStatus())
        return came_up

    def _set_status(self, status: ChildStatus) -> None:
        if status != self.status:
            self.status = status
            self._on_status()


def _step_reports(frame: frames.Frame) -> Iterator[StepReport]:
    blobs = iter(frame.blobs())
    for entry in frame.header["jobs"]:
        mime = entry.get("preview_mime")
        yield StepReport(
            entry["job_id"],
            entry["step"],
            entry["total"],
            entry.get("text"),
            None if mime is None else Media(next(blobs), mime),
        )
