"""The supervisor where its surroundings fail: a broker that is away, a store that is full."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from generators import storing
from generators.artifacts import FolderStore
from generators.engine.memory import MemoryEngine
from generators.engine.port import EngineEvent, EngineJob, EngineResult, Lease
from generators.settings import GeneratorSettings
from generators.worker.process import make_child
from generators.worker.supervisor import Worker

RUNNER = str(Path(__file__).parent.with_name("engine") / "scripted_runner.py")


class Flaky:
    """A source whose broker is away now and then: every other call fails."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._source = engine.source()
        self._calls = 0

    def _perhaps_fail(self) -> None:
        self._calls += 1
        if self._calls % 2:
            raise ConnectionResetError("the broker is away")

    async def fetch(self, limit: int, *, window_s: float, block: bool) -> list[Lease]:
        self._perhaps_fail()
        leases = await self._source.fetch(limit, window_s=window_s, block=block)
        return [FlakyLease(lease, self) for lease in leases]

    async def emit(self, event: EngineEvent) -> None:
        self._perhaps_fail()
        await self._source.emit(event)

    def cancelled(self, job_id: str) -> bool:
        return self._source.cancelled(job_id)


class FlakyLease:
    def __init__(self, lease: Lease, source: Flaky) -> None:
        self._lease, self._flaky = lease, source
        self.job = lease.job

    async def beat(self) -> None:
        self._flaky._perhaps_fail()

    async def done(self, result: EngineResult) -> None:
        self._flaky._perhaps_fail()
        await self._lease.done(result)


class FullStore(FolderStore):
    """A disk that is full for the first `failures` puts."""

    def __init__(self, root: Path, failures: int) -> None:
        super().__init__(root)
        self.failures = failures

    async def put(self, data: bytes, *, owner: str) -> str:
        if self.failures > 0:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        return await super().put(data, owner=owner)


def job(job_id: str) -> EngineJob:
    return EngineJob(
        id=job_id,
        generator="gpt2",
        model="gpt2",
        params={"prompt": "x"},
        seed=1,
        compat="a",
        owner="o",
    )


@pytest.fixture
def settings(tmp_path: Path) -> GeneratorSettings:
    return GeneratorSettings(data_dir=tmp_path, heartbeat_s=0.05, _env_file=None)


async def serve(
    engine: MemoryEngine, source: Any, store: FolderStore, settings: GeneratorSettings, jobs: int
) -> list[EngineResult]:
    """Run this many jobs through a worker and return their results."""
    results: list[EngineResult] = []
    async with asyncio.timeout(30), make_child(settings, RUNNER) as child:
        serving = asyncio.create_task(
            Worker(source, store, child, settings).run()  # type: ignore[arg-type]
        )
        for number in range(jobs):
            await engine.send(job(str(number)))
        async for result, acknowledge in engine.results():
            await acknowledge()
            results.append(result)
            if len(results) == jobs:
                break
        assert not serving.done()
        serving.cancel()
        await asyncio.wait([serving])
    return results


async def test_a_worker_keeps_serving_while_its_broker_comes_and_goes(
    settings: GeneratorSettings, tmp_path: Path
) -> None:
    async with MemoryEngine() as engine:
        results = await serve(engine, Flaky(engine), FolderStore(tmp_path / "a"), settings, 5)
    assert sorted(result.job_id for result in results) == list("01234")
    assert {result.state for result in results} == {"done"}


async def test_a_store_that_recovers_in_time_loses_nothing(
    settings: GeneratorSettings, tmp_path: Path
) -> None:
    async with MemoryEngine() as engine:
        store = FullStore(tmp_path / "a", failures=2)
        [result] = await serve(engine, engine.source(), store, settings, 1)
    assert result.state == "done"
    assert await store.get(result.artifacts[0].key) == b"1 x"


async def test_a_store_that_stays_full_fails_the_job_in_words(
    settings: GeneratorSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "TRIES", 2)
    async with MemoryEngine() as engine:
        store = FullStore(tmp_path / "a", failures=99)
        [result] = await serve(engine, engine.source(), store, settings, 1)
    assert (result.state, result.error_kind) == ("failed", "internal")
    assert "could not be stored" in result.error


async def test_a_model_child_that_does_not_start_is_said_in_words(
    settings: GeneratorSettings, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no torch here')")
    async with (
        asyncio.timeout(30),
        MemoryEngine() as engine,
        make_child(settings, str(broken)) as child,
    ):
        serving = asyncio.create_task(
            Worker(engine.source(), FolderStore(tmp_path), child, settings).run()
        )
        await engine.send(job("0"))
        result, _ = await anext(aiter(engine.results()))
        serving.cancel()
        await asyncio.wait([serving])
    assert result.state == "failed"
    assert "does not start" in result.error


async def test_the_worker_ends_when_the_engine_is_closed(
    settings: GeneratorSettings, tmp_path: Path
) -> None:
    async with asyncio.timeout(30), make_child(settings, RUNNER) as child:
        async with MemoryEngine() as engine:
            serving = asyncio.create_task(
                Worker(engine.source(), FolderStore(tmp_path), child, settings).run()
            )
            await engine.send(job("0"))
            await anext(aiter(engine.results()))
        await serving
