"""The supervisor's side of the model child: start it, feed it, start it again when it dies.

No torch. Model code runs in a process of its own because it may crash it, fill its memory or hold
its interpreter lock for seconds; none of that may stop heartbeats or lose a job.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import structlog

from generators import processes
from generators.contract import Media
from generators.engine import frames
from generators.engine.port import EngineJob
from generators.serving import Outcome

log = structlog.get_logger(__name__)

_FIRST_RESTART_S, _LAST_RESTART_S = 0.05, 10.0
_FAILED_STARTS = 3


class ChildDied(Exception):
    """The model child died, or was killed for its silence, with a batch in its hands."""


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
    """One step of the running batch, by job: the text so far, a preview."""

    inference_step: int
    total_steps: int
    texts: Mapping[str, str]
    previews: Mapping[str, Media]
    job_ids: tuple[str, ...]


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
        self._frames: asyncio.Queue[frames.Frame | None] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._process: processes.ProcessHandle | None = None
        self._up = asyncio.Event()
        self._came_up = False
        self._failed_starts = 0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> ModelChild:
        self._keeper = asyncio.create_task(self._keep(), name="model-child")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper

    def watch(self, on_status: Callable[[], None]) -> None:
        """Call this whenever `status` has changed."""
        self._on_status = on_status

    async def run(
        self, jobs: Sequence[EngineJob], inputs: Mapping[str, Mapping[str, bytes]]
    ) -> AsyncIterator[StepReport | Outcome]:
        """Run one batch: steps as they are taken, one outcome per job. Only one at a time.

        Raises ChildDied where the child is gone before the end (jobs without an outcome have
        none), ChildUnavailable where it cannot be started.
        """
        while not self._up.is_set():
            if self._failed_starts >= _FAILED_STARTS:
                self._failed_starts = 0  # the next batch tries afresh
                raise ChildUnavailable
            with suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._up.wait()
        while not self._frames.empty():
            self._frames.get_nowait()
        self._write_batch(jobs, inputs)
        while (frame := await self._next()).header["type"] != "end":
            if frame.header["type"] == "outcome":
                yield Outcome.from_frame(frame)
            else:
                yield _step_report(frame)

    def cancel(self, job_id: str) -> None:
        """Have the job stopped at its next step."""
        if self._writer is not None:
            header = {"type": "cancel", "job_id": job_id}
            self._writer.write(frames.encode(frames.Frame(header)))

    def _write_batch(
        self, jobs: Sequence[EngineJob], inputs: Mapping[str, Mapping[str, bytes]]
    ) -> None:
        pairs = [(job_id, name) for job_id, named in inputs.items() for name in named]
        header = {
            "type": "run",
            "jobs": [job.model_dump(mode="json") for job in jobs],
            "inputs": pairs,
        }
        frame = frames.with_blobs(header, [inputs[job_id][name] for job_id, name in pairs])
        if self._writer is None:
            raise ChildDied("the model child is gone")
        self._writer.write(frames.encode(frame))

    async def _next(self) -> frames.Frame:
        try:
            async with asyncio.timeout(self._stall_s):
                frame = await self._frames.get()
        except TimeoutError:
            log.error("the model child made no progress; it is restarted", after_s=self._stall_s)
            if self._process is not None:
                self._process.kill()
            raise ChildDied(f"no progress for {self._stall_s:.0f} s") from None
        if frame is None:
            raise ChildDied("the model child is gone")
        return frame

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_RESTART_S
        while True:
            started = loop.time()
            try:
                status = await self._one_child()
            except OSError as error:
                status = 1
                log.error("the model child cannot be started", error=str(error))
            came_up, self._came_up = self._came_up, False
            self._failed_starts = 0 if came_up else self._failed_starts + 1
            self._frames.put_nowait(None)
            self._set_status(ChildStatus())
            if loop.time() - started > _LAST_RESTART_S or came_up:
                pause_s = _FIRST_RESTART_S
            log.warning("the model child has ended", status=status, starts_again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_RESTART_S)

    async def _one_child(self) -> int:
        """One child's life; returns its exit status. Cancelled, it ends the child first."""
        ours, theirs = socket.socketpair()
        try:
            reader, writer = await processes.streams(ours)
        except BaseException:
            theirs.close()
            raise
        try:
            self._process = await processes.start(self._command, theirs, self._environment)
            self._writer = writer
            with suppress(ConnectionError, frames.FrameError, KeyError):
                while (frame := await frames.read(reader)) is not None:
                    self._take(frame)
            self._up.clear()
            return await processes.ended(self._process, grace_s=1.0)
        finally:
            self._writer = None
            self._up.clear()
            await processes.hang_up(writer)
            if self._process is not None:
                await processes.stop(self._process, grace_s=1.0)
                self._process = None

    def _take(self, frame: frames.Frame) -> None:
        header = frame.header
        if header["type"] != "status":
            self._frames.put_nowait(frame)
            return
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

    def _set_status(self, status: ChildStatus) -> None:
        if status != self.status:
            self.status = status
            self._on_status()


def _step_report(frame: frames.Frame) -> StepReport:
    blobs = iter(frame.blobs())
    entries = frame.header["jobs"]
    return StepReport(
        inference_step=frame.header["inference_step"],
        total_steps=frame.header["total_steps"],
        texts={entry["job_id"]: entry["text"] for entry in entries if "text" in entry},
        previews={
            entry["job_id"]: Media(next(blobs), entry["preview_mime"])
            for entry in entries
            if "preview_mime" in entry
        },
        job_ids=tuple(entry["job_id"] for entry in entries),
    )
