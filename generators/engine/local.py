"""The default engine: one worker process beside the gateway, on a private socket. No torch.

Entering returns at once; the worker starts in the background and is started again whenever it dies.
Jobs are kept here until their result has come, results until they are acknowledged, so a worker may
die at any moment. If the gateway itself dies, its SQL sends everything again.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pydantic import TypeAdapter

from generators import processes
from generators.engine import frames
from generators.engine.port import (
    Acknowledge,
    Capacity,
    EngineClosed,
    EngineEvent,
    EngineJob,
    EngineResult,
    Progress,
    Started,
    Struck,
    struck_out,
)
from generators.settings import PREFIX, GeneratorSettings

log = structlog.get_logger(__name__)

_EVENT: TypeAdapter[EngineEvent] = TypeAdapter(EngineEvent)
_MAX_EVENTS = 4096
_FIRST_PAUSE_S = 0.1  # before a worker that died is started again


@dataclass(slots=True)
class _Held:
    """A job whose result has not come yet."""

    job: EngineJob
    delivery: int
    running: bool = False
    cancelled: bool = False


class LocalEngine:
    """The gateway's side. `runner` names the model child's module; `spawn` replaces the worker.

    `silence_s` without a word from the worker (it reports every two seconds) and it is killed;
    `redeliver_s` after a result was shown and not acknowledged, it is shown again.
    """

    def __init__(
        self,
        settings: GeneratorSettings,
        *,
        runner: str = "generators.runner",
        spawn: processes.Spawn | None = None,
        silence_s: float = 30.0,
        redeliver_s: float = 5.0,
        grace_s: float = 5.0,
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._spawn = spawn or self._spawn_worker
        self._silence_s, self._redeliver_s, self._grace_s = silence_s, redeliver_s, grace_s
        self._held: dict[str, _Held] = {}
        self._results: dict[str, EngineResult] = {}
        self._events: deque[EngineEvent] = deque(maxlen=_MAX_EVENTS)
        self._event_came, self._result_came = asyncio.Event(), asyncio.Event()
        self._deliveries = 0
        self._workers: set[str] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._process: processes.ProcessHandle | None = None
        self._keeper = processes.Keeper(
            "worker", self._one_worker, self._after_death, first_pause_s=_FIRST_PAUSE_S
        )
        self._closed = False

    @property
    def worker_pid(self) -> int | None:
        """The running worker's process id, for diagnosis."""
        return self._process.pid if self._process is not None else None

    async def __aenter__(self) -> LocalEngine:
        self._keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        await self._keeper.stop()
        self._event_came.set()
        self._result_came.set()

    async def send(self, job: EngineJob) -> None:
        if self._closed:
            raise EngineClosed
        if job.id in self._held or job.id in self._results:
            return
        self._held[job.id] = held = _Held(job, 0)
        if job.strikes >= self._settings.max_strikes:
            self._conclude(held, struck_out(job.id, job.strikes))
        else:
            self._deliver(held)

    async def cancel(self, job_id: str) -> None:
        held = self._held.get(job_id)
        if held is None:
            return
        held.cancelled = True
        if self._writer is None:
            self._conclude(held, EngineResult(job_id=job_id, state="cancelled"))
        else:
            self._write({"type": "cancel", "job_id": job_id})

    async def evict(self, job_id: str) -> None:
        if self._held.pop(job_id, None) is not None:
            self._write({"type": "evict", "job_id": job_id})

    async def pause(self, job_id: str) -> None:
        self._write({"type": "pause", "job_id": job_id})

    async def resume(self, job_id: str) -> None:
        self._write({"type": "resume", "job_id": job_id})

    async def results(self) -> AsyncIterator[tuple[EngineResult, Acknowledge]]:
        loop = asyncio.get_running_loop()
        due: dict[str, float] = {}
        while not self._closed:
            self._result_came.clear()
            for job_id, result in list(self._results.items()):
                if job_id in self._results and due.get(job_id, 0.0) <= loop.time():
                    due[job_id] = loop.time() + self._redeliver_s
                    yield result, partial(self._acknowledge, job_id)
            due = {job_id: at for job_id, at in due.items() if job_id in self._results}
            if any(job_id not in due for job_id in self._results):
                continue  # one more came while the last were looked at
            soonest = min(due.values(), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(soonest):
                    await self._result_came.wait()

    async def events(self) -> AsyncIterator[EngineEvent]:
        while not self._closed:
            while self._events:
                yield self._events.popleft()
            self._event_came.clear()
            await self._event_came.wait()

    async def _acknowledge(self, job_id: str) -> None:
        self._results.pop(job_id, None)

    def _tell(self, event: EngineEvent) -> None:
        self._events.append(event)
        self._event_came.set()

    def _conclude(self, held: _Held, result: EngineResult) -> None:
        if self._held.pop(held.job.id, None) is not None:
            self._results[held.job.id] = result
            self._result_came.set()

    def _deliver(self, held: _Held) -> None:
        self._deliveries += 1
        held.delivery, held.running = self._deliveries, False
        job = held.job.model_dump(mode="json")
        self._write({"type": "job", "delivery": held.delivery, "job": job})

    def _write(self, header: Mapping[str, Any]) -> None:
        # Not drained: the scheduler sends only what the worker has room for, and a worker that
        # does not read is killed for its silence.
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frames.encode(frames.Frame(header)))

    async def _one_worker(self) -> int:
        """One worker's life; returns its exit status. Cancelled, it ends the worker first."""
        async with processes.linked(self._spawn, grace_s=self._grace_s) as link:
            self._process, self._writer = link.process, link.writer
            try:
                for held in list(self._held.values()):
                    self._deliver(held)
                await self._listen(link.reader)
                return await processes.ended(link.process, grace_s=self._grace_s)
            finally:
                self._process = self._writer = None

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take what the worker says until it is gone or has been silent for too long."""
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    frame = await frames.read(reader)
                if frame is None:
                    return
                self._take(frame)
        except TimeoutError:
            log.error("the worker is silent; it is restarted", after_s=self._silence_s)
            if self._process is not None:
                self._process.kill()
        except ConnectionError as error:
            log.error("the worker's socket broke", error=str(error))
        except (frames.FrameError, ValueError, KeyError) as error:
            log.error("the worker cannot be understood; it is restarted", error=str(error))
            if self._process is not None:
                self._process.kill()

    def _take(self, frame: frames.Frame) -> None:
        if frame.header["type"] == "result":
            result = EngineResult.model_validate(frame.header["result"])
            held = self._held.get(result.job_id)
            if held is not None and held.delivery == frame.header["delivery"]:
                self._conclude(held, result)
            return
        event = _EVENT.validate_python(frame.header["event"])
        if isinstance(event, Progress) and frame.body:
            event = event.model_copy(update={"preview": frame.body})
        elif isinstance(event, Capacity):
            self._workers.add(event.worker_id)
        elif isinstance(event, Started) and event.job_id in self._held:
            self._held[event.job_id].running = True
        elif isinstance(event, Struck) and event.job_id in self._held:
            held = self._held[event.job_id]
            held.running = False
            held.job = held.job.model_copy(update={"strikes": event.strikes})
        self._tell(event)

    def _after_death(self, status: int) -> bool:
        """Say that the worker is gone, and count a strike against what was running, unless it was
        told to end. No life counts as good but a long one: see `processes.Keeper`."""
        blame = status != 0
        for worker_id in sorted(self._workers):
            self._tell(Capacity(worker_id=worker_id, state="gone", slots=0, held=0))
        self._workers.clear()
        for held in list(self._held.values()):
            if held.running and blame:
                strikes = held.job.strikes + 1
                held.job = held.job.model_copy(update={"strikes": strikes})
                self._tell(Struck(job_id=held.job.id, strikes=strikes))
            if held.cancelled:
                self._conclude(held, EngineResult(job_id=held.job.id, state="cancelled"))
            elif held.job.strikes >= self._settings.max_strikes:
                self._conclude(held, struck_out(held.job.id, held.job.strikes))
            held.running = False
        return False

    async def _spawn_worker(self, end: socket.socket) -> processes.ProcessHandle:
        command = [*processes.module_command("generators.worker"), "--runner", self._runner]
        environment = processes.environment_without(PREFIX) | self._settings.environment()
        return await processes.start(command, end, environment)
