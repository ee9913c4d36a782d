"""The local engine's own promises: processes die and are replaced, and no job is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from generators.engine.local import LocalEngine
from generators.engine.port import Capacity, EngineClosed, EngineJob, Progress, Started, Struck
from generators.settings import GeneratorSettings

MakeJob = Callable[..., EngineJob]
RUNNER = str(Path(__file__).with_name("scripted_runner.py"))
HOUSE = Path(__file__).parents[3]

pytestmark = pytest.mark.kill


@pytest.fixture
async def gateway(settings: GeneratorSettings, open_gateway: Any) -> AsyncIterator[Any]:
    async with LocalEngine(settings, runner=RUNNER) as engine, open_gateway(engine) as gateway:
        yield gateway


async def ready(gateway: Any, *, after: int = 0) -> psutil.Process:
    """The worker's process, once it has said (after so many events) that it can answer."""
    await gateway.until(
        lambda: [e for e in gateway.events[after:] if getattr(e, "state", "") == "ready"]
    )
    return psutil.Process(gateway.engine.worker_pid)


async def gone(*victims: psutil.Process) -> None:
    """Wait until these processes have ended. Through pidfds: waiting for a child of ours in any
    other way would take its exit status from the engine."""
    for victim in victims:
        try:
            descriptor = os.pidfd_open(victim.pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        try:
            async with asyncio.timeout(20):
                await ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


async def test_killing_the_worker_strikes_what_ran_and_not_what_waited(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    await gateway.engine.send(make_job("running", f"wait:{gate}", kind="a"))
    await gateway.engine.send(make_job("waiting", kind="b"))
    await gateway.event(Progress, "running")
    gate.touch()
    os.kill(gateway.engine.worker_pid, signal.SIGKILL)
    for name in ("running", "waiting"):
        assert (await gateway.result(name)).state == "done"
        assert len(gateway.of(name)) == 1
    assert [e.job_id for e in gateway.seen(Struck)] in ([], ["running"])
    states = [event.state for event in gateway.seen(Capacity)]
    assert "ready" in states[states.index("gone") :]


async def test_a_job_running_in_three_killed_workers_is_given_up(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.send(make_job("one", "wait"))
    for strikes in (1, 2, 3):
        await gateway.until(lambda count=strikes: len(gateway.seen(Started, "one")) == count)
        os.kill(gateway.engine.worker_pid, signal.SIGKILL)
        await gateway.until(lambda count=strikes: len(gateway.seen(Struck, "one")) == count)
    result = await gateway.result("one")
    assert (result.state, result.error_kind) == ("failed", "crashed")
    assert [event.strikes for event in gateway.seen(Struck)] == [1, 2, 3]


async def test_a_job_cancelled_just_before_its_worker_dies_is_cancelled(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.send(make_job("one", "sleep:60"))
    await gateway.event(Started, "one")
    await gateway.engine.cancel("one")
    os.kill(gateway.engine.worker_pid, signal.SIGKILL)
    assert (await gateway.result("one")).state == "cancelled"


async def test_a_job_cancelled_while_there_is_no_worker_is_cancelled(
    settings: GeneratorSettings, open_gateway: Any, make_job: MakeJob
) -> None:
    async def never(end: Any) -> Any:
        end.close()
        raise OSError("no worker today")

    async with LocalEngine(settings, spawn=never) as engine, open_gateway(engine) as gateway:
        await engine.send(make_job("one"))
        await engine.cancel("one")
        assert (await gateway.result("one")).state == "cancelled"


async def test_a_worker_told_to_end_does_so_without_a_strike(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await gateway.engine.send(make_job("one", f"wait:{tmp_path / 'gate'}"))
    await gateway.event(Progress, "one")
    worker = psutil.Process(gateway.engine.worker_pid)
    family = [worker, *worker.children()]
    worker.terminate()
    await gone(*family)
    (tmp_path / "gate").touch()
    assert (await gateway.result("one")).state == "done"
    assert not gateway.seen(Struck)


async def test_every_job_ends_once_while_workers_and_models_are_killed(
    gateway: Any, make_job: MakeJob
) -> None:
    jobs = [make_job(str(number), "sleep:0.02", kind="abc"[number % 3]) for number in range(60)]
    for job in jobs:
        await gateway.engine.send(job)
    for killed in ("model", "worker", "model", "worker"):
        worker = await ready(gateway, after=len(gateway.events))
        victims = [child for child in worker.children()] if killed == "model" else [worker]
        for victim in victims:
            victim.kill()
    for job in jobs:
        await gateway.result(job.id)
    await gateway.engine.send(make_job("last"))
    await gateway.result("last")
    assert sorted(result.job_id for result in gateway.results) == sorted(
        [*(job.id for job in jobs), "last"]
    )
    assert {result.state for result in gateway.results} <= {"done", "failed"}
    assert all(r.error_kind == "crashed" for r in gateway.results if r.state == "failed")


async def test_a_result_is_shown_again_to_a_reader_that_could_not_keep_it(
    settings: GeneratorSettings, open_gateway: Any, make_job: MakeJob
) -> None:
    async with (
        LocalEngine(settings, runner=RUNNER, redeliver_s=0.1) as engine,
        open_gateway(engine) as gateway,
    ):
        gateway.acknowledge = False
        await engine.send(make_job("one"))
        await gateway.until(lambda: len(gateway.of("one")) >= 3)


async def test_a_silent_worker_is_replaced(
    settings: GeneratorSettings, open_gateway: Any, make_job: MakeJob
) -> None:
    async with (
        LocalEngine(settings, runner=RUNNER, silence_s=6.0) as engine,
        open_gateway(engine) as gateway,
    ):
        worker = await ready(gateway)
        worker.suspend()
        await engine.send(make_job("one"))
        assert (await gateway.result("one")).state == "done"
        await gone(worker)


async def test_leaving_ends_worker_and_model(
    settings: GeneratorSettings, open_gateway: Any, make_job: MakeJob
) -> None:
    async with (
        LocalEngine(settings, runner=RUNNER) as engine,
        open_gateway(engine) as gateway,
    ):
        await engine.send(make_job("one", "gil:30"))
        await gateway.event(Started, "one")
        worker = psutil.Process(engine.worker_pid)
        family = [worker, *worker.children()]
        assert len(family) == 2
    await gone(*family)
    with pytest.raises(EngineClosed):
        await engine.send(make_job("two"))


GATEWAY = """
import asyncio, sys
from pathlib import Path
from generators.engine.local import LocalEngine
from generators.engine.port import EngineJob
from generators.settings import GeneratorSettings

async def main():
    settings = GeneratorSettings(data_dir=Path(sys.argv[1]), log_level="error")
    async with LocalEngine(settings, runner=sys.argv[2]) as engine:
        await engine.send(EngineJob(
            id="one", generator="diffusion", model="diffusion", seed=1, compat="a", owner="o",
            params={"prompt": sys.argv[3]},
        ))
        async for event in engine.events():
            if event.type == "started":
                print(engine.worker_pid, flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("script", ["wait", "sleep:60", "gil:60"])
async def test_worker_and_model_end_with_the_gateway(
    tmp_path: Path, ending: signal.Signals, script: str
) -> None:
    gateway = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        GATEWAY,
        str(tmp_path),
        RUNNER,
        script,
        stdout=asyncio.subprocess.PIPE,
        cwd=HOUSE,
    )
    assert gateway.stdout is not None
    async with asyncio.timeout(20):
        worker = psutil.Process(int(await gateway.stdout.readline()))
    family = [worker, *worker.children()]
    assert len(family) == 2
    gateway.send_signal(ending)
    await gateway.wait()
    await gone(*family)


def test_a_worker_without_an_engine_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    from generators.worker.process import main

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "--fd" in capfd.readouterr().err
