"""Jobs of continuous generators at the worker: seated beside what runs, and safe when it dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from generators.artifacts import open_store
from generators.engine.memory import MemoryEngine
from generators.engine.port import Capacity, EngineJob, Progress, Started, Struck
from generators.settings import GeneratorSettings
from generators.worker.process import make_child
from generators.worker.supervisor import Worker

MakeJob = Callable[..., EngineJob]
RUNNER = str(Path(__file__).with_name("continuous_runner.py"))
FOR_EVER = "tokens:1000000000"


@pytest.fixture
async def gateway(settings: GeneratorSettings, open_gateway: Any) -> AsyncIterator[Any]:
    store = open_store(settings.artifacts)
    async with (
        MemoryEngine() as engine,
        make_child(settings, RUNNER) as child,
        open_gateway(engine) as gateway,
    ):
        serving = asyncio.create_task(Worker(engine.source(), store, child, settings).run())
        yield gateway
        serving.cancel()
        await asyncio.wait([serving])


@pytest.fixture
def text(make_job: MakeJob) -> MakeJob:
    def make(job_id: str, script: str = "tokens:3", **changes: Any) -> EngineJob:
        return make_job(job_id, script, **{"generator": "gpt2", "model": "gpt2", **changes})

    return make


async def test_a_text_that_comes_while_a_batch_runs_is_answered_first(
    gateway: Any, make_job: MakeJob, text: MakeJob, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await gateway.engine.send(make_job("picture", f"wait:{gate}"))
    await gateway.event(Started, "picture")
    await gateway.engine.send(text("text"))
    assert (await gateway.result("text")).state == "done"
    assert not gateway.of("picture")
    gate.touch()
    assert (await gateway.result("picture")).state == "done"
    assert gateway.seen(Progress, "text")[0].text == "so far"


async def test_a_short_text_does_not_wait_for_a_long_one(gateway: Any, text: MakeJob) -> None:
    await gateway.engine.send(text("long", FOR_EVER))
    await gateway.event(Progress, "long")
    await gateway.engine.send(text("short"))
    assert (await gateway.result("short")).state == "done"
    assert not gateway.of("long")
    await gateway.engine.cancel("long")
    assert (await gateway.result("long")).state == "cancelled"


async def test_the_gateway_hears_how_many_texts_there_is_room_for(
    gateway: Any, text: MakeJob
) -> None:
    ready = await gateway.until(lambda: [e for e in gateway.seen(Capacity) if e.state == "ready"])
    assert ready[0].guest_items >= 16
    await gateway.engine.send(text("one", FOR_EVER))
    await gateway.event(Started, "one")
    await gateway.until(lambda: gateway.seen(Capacity)[-1].held == 1)
    assert gateway.seen(Capacity)[-1].slots == ready[0].slots  # it takes no slot of a batch
    await gateway.engine.cancel("one")
    await gateway.result("one")


@pytest.mark.kill
async def test_when_the_child_dies_every_job_in_it_has_a_strike_and_is_done_again(
    gateway: Any, make_job: MakeJob, text: MakeJob, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await gateway.engine.send(make_job("picture", f"wait:{gate}"))
    await gateway.engine.send(text("innocent", FOR_EVER))
    await gateway.event(Progress, "innocent")
    await gateway.event(Started, "picture")
    await gateway.engine.send(text("poison", f"crash:{tmp_path / 'once'}"))
    await gateway.event(Struck, "poison")
    gate.touch()
    for job_id in ("picture", "poison", "innocent"):
        assert (await gateway.result(job_id)).state == "done"
    assert {event.job_id for event in gateway.seen(Struck)} == {"picture", "poison", "innocent"}
    assert {event.strikes for event in gateway.seen(Struck)} == {1}


@pytest.mark.kill
async def test_a_job_with_a_strike_runs_alone(gateway: Any, text: MakeJob, tmp_path: Path) -> None:
    await gateway.engine.send(text("long", FOR_EVER))
    await gateway.event(Progress, "long")
    await gateway.engine.send(text("suspect", f"crash:{tmp_path / 'never'}", strikes=1))
    await gateway.engine.send(text("newcomer"))
    await gateway.engine.cancel("long")
    for job_id in ("suspect", "newcomer"):
        assert (await gateway.result(job_id)).state == "done"
    assert {event.job_id for event in gateway.seen(Struck)} == {"suspect"}
