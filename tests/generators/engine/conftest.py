"""What the engine suites stand on: engines to try, a gateway that only listens, scripted jobs.

A network engine joins the contract suite by one more entry in `ENGINES`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from generators import processes
from generators.artifacts import open_store
from generators.engine.local import LocalEngine
from generators.engine.memory import MemoryEngine
from generators.engine.port import Engine, EngineEvent, EngineJob, EngineResult
from generators.settings import GeneratorSettings
from generators.worker.process import make_child, serve_socket
from generators.worker.supervisor import Worker

RUNNER = str(Path(__file__).with_name("scripted_runner.py"))
PATIENCE_S = 30.0


class TaskHandle:
    """A worker in this process, looking like a child process to the engine."""

    pid = 0

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    @property
    def returncode(self) -> int | None:
        return 0 if self._task.done() else None

    async def wait(self) -> int:
        await asyncio.wait([self._task])
        return 0

    def terminate(self) -> None:
        self._task.cancel()

    kill = terminate


@asynccontextmanager
async def local(settings: GeneratorSettings) -> AsyncIterator[Engine]:
    """The local engine as it ships: the worker is a process."""
    async with LocalEngine(settings, runner=RUNNER) as engine:
        yield engine


@asynccontextmanager
async def in_process(settings: GeneratorSettings) -> AsyncIterator[Engine]:
    """The same worker loop in this process, at the other end of a socket pair."""

    async def spawn(end: socket.socket) -> processes.ProcessHandle:
        task = asyncio.create_task(serve_socket(end, settings, RUNNER))
        await asyncio.sleep(0)  # now it owns its end, and closes it even if cancelled at once
        return TaskHandle(task)

    async with LocalEngine(settings, spawn=spawn) as engine:
        yield engine


@asynccontextmanager
async def memory(settings: GeneratorSettings) -> AsyncIterator[Engine]:
    """The in-memory engine, served by the same worker loop."""
    store = open_store(settings.artifacts)
    async with MemoryEngine() as engine, make_child(settings, RUNNER) as child:
        serving = asyncio.create_task(Worker(engine.source(), store, child, settings).run())
        try:
            yield engine
        finally:
            serving.cancel()
            await asyncio.wait([serving])


Make = Callable[[GeneratorSettings], AbstractAsyncContextManager[Engine]]
ENGINES: dict[str, Make] = {"local": local, "in-process": in_process, "memory": memory}


@pytest.fixture(params=ENGINES)
def make_engine(request: pytest.FixtureRequest) -> Make:
    return ENGINES[request.param]


@pytest.fixture
def settings(tmp_path: Path) -> GeneratorSettings:
    return GeneratorSettings(
        data_dir=tmp_path / "data", heartbeat_s=0.1, log_level="error", _env_file=None
    )


class Gateway:
    """Takes results and events as they come and keeps them. With `acknowledge` off, results are
    looked at only."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.acknowledge = True
        self.results: list[EngineResult] = []
        self.events: list[EngineEvent] = []
        self.results_task: asyncio.Task[None]
        self._came = asyncio.Condition()

    async def read_again(self) -> None:
        """Take results with a new reader, as a gateway that was started again."""
        self.results_task.cancel()
        await asyncio.wait([self.results_task])
        self.results_task = asyncio.create_task(self.take_results())

    async def take_results(self) -> None:
        async for result, acknowledge in self.engine.results():
            if self.acknowledge:
                await acknowledge()
            await self._note(self.results, result)

    async def take_events(self) -> None:
        async for event in self.engine.events():
            await self._note(self.events, event)

    async def _note(self, into: list[Any], item: Any) -> None:
        async with self._came:
            into.append(item)
            self._came.notify_all()

    async def until(self, what: Callable[[], Any]) -> Any:
        """Wait until this is true, and return it."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            return await self._came.wait_for(what)

    def of(self, job_id: str) -> list[EngineResult]:
        """The results of a job, so far."""
        return [result for result in self.results if result.job_id == job_id]

    async def result(self, job_id: str) -> EngineResult:
        """The job's first result."""
        return (await self.until(lambda: self.of(job_id)))[0]

    def seen(self, kind: type[Any], job_id: str | None = None) -> list[Any]:
        """The events of a kind, so far."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (job_id is None or event.job_id == job_id)
        ]

    async def event(self, kind: type[Any], job_id: str | None = None) -> Any:
        """The first event of a kind."""
        return (await self.until(lambda: self.seen(kind, job_id)))[0]


@asynccontextmanager
async def listening(engine: Engine) -> AsyncIterator[Gateway]:
    """A gateway that takes what this engine brings."""
    gateway = Gateway(engine)
    gateway.results_task = asyncio.create_task(gateway.take_results())
    events_task = asyncio.create_task(gateway.take_events())
    try:
        yield gateway
    finally:
        for task in (gateway.results_task, events_task):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def open_gateway() -> Callable[[Engine], AbstractAsyncContextManager[Gateway]]:
    return listening


@pytest.fixture
async def gateway(make_engine: Make, settings: GeneratorSettings) -> AsyncIterator[Gateway]:
    """A gateway at each engine in turn."""
    async with make_engine(settings) as engine, listening(engine) as gateway:
        yield gateway


@pytest.fixture
def make_job() -> Callable[..., EngineJob]:
    """A job whose prompt is its script; jobs of one `kind` may share a batch."""

    def make(job_id: str, script: str = "nothing", *, kind: str = "a", **changes: Any) -> EngineJob:
        values: dict[str, Any] = {
            "id": job_id,
            "generator": "diffusion",
            "model": "diffusion",
            "params": {"prompt": script},
            "seed": 7,
            "compat": kind,
            "owner": "somebody",
        }
        return EngineJob(**{**values, **changes})

    return make
