"""What every engine promises, whatever carries its jobs. The jobs are scripts: see
`scripted_runner.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from generators.artifacts import open_store
from generators.engine.port import (
    ArtifactRef,
    Capacity,
    EngineJob,
    Heartbeat,
    Progress,
    Started,
    Struck,
)
from generators.settings import GeneratorSettings

MakeJob = Callable[..., EngineJob]


async def busy(gateway: Any, make_job: MakeJob, gate: Path) -> None:
    """Keep the worker in a batch of its own until the file `gate` exists."""
    await gateway.engine.send(make_job("blocker", f"wait:{gate}", kind="blocker"))
    await gateway.event(Progress, "blocker")


async def test_a_job_is_run_and_its_media_are_stored(
    gateway: Any, make_job: MakeJob, settings: GeneratorSettings
) -> None:
    await gateway.engine.send(make_job("one", count=2))
    result = await gateway.result("one")
    assert result.state == "done"
    assert result.gpu_ms == 10
    assert result.receipt["batch_size"] == 2
    store = open_store(settings.artifacts)
    stored = [await store.get(artifact.key) for artifact in result.artifacts]
    assert stored == [b"7 nothing", b"8 nothing"]
    assert [artifact.size_bytes for artifact in result.artifacts] == [9, 9]


async def test_a_job_is_held_once_however_often_it_is_sent(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job("one", f"note:{tmp_path / 'ran'} wait:{tmp_path / 'gate'}")
    for _ in range(3):
        await gateway.engine.send(job)
    await gateway.event(Progress, "one")
    await gateway.engine.send(job)
    (tmp_path / "gate").touch()
    await gateway.result("one")
    await gateway.engine.send(make_job("two", kind="b"))
    await gateway.result("two")
    assert (tmp_path / "ran").read_text() == "one\n"
    assert len(gateway.of("one")) == 1


async def test_a_waiting_job_that_is_cancelled_never_runs(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "gate")
    await gateway.engine.send(make_job("one", f"note:{tmp_path / 'ran'}"))
    await gateway.engine.cancel("one")
    (tmp_path / "gate").touch()
    await gateway.engine.send(make_job("two"))
    await gateway.result("two")
    assert not (tmp_path / "ran").exists()
    assert [result.state for result in gateway.of("one")] in ([], ["cancelled"])


async def test_a_running_job_that_is_cancelled_stops_and_says_so(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.send(make_job("one", "wait"))
    await gateway.event(Progress, "one")
    await gateway.engine.cancel("one")
    assert (await gateway.result("one")).state == "cancelled"


async def test_cancelling_one_job_leaves_its_batch_mates_running(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "first")
    await gateway.engine.send(make_job("one", f"wait:{tmp_path / 'second'}"))
    await gateway.engine.send(make_job("two"))
    (tmp_path / "first").touch()
    assert (await gateway.event(Started, "two")).batch_size == 2
    await gateway.engine.cancel("one")
    assert (await gateway.result("one")).state == "cancelled"
    assert (await gateway.result("two")).state == "done"


async def test_cancelling_or_evicting_an_unknown_job_is_no_error(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.cancel("nobody")
    await gateway.engine.evict("nobody")
    await gateway.engine.send(make_job("one"))
    assert (await gateway.result("one")).state == "done"


async def test_an_evicted_job_can_be_sent_again_and_ends_once(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    job = make_job("one", f"wait:{tmp_path / 'gate'}")
    await gateway.engine.send(job)
    await gateway.event(Progress, "one")
    await gateway.engine.evict("one")
    (tmp_path / "gate").touch()
    await gateway.engine.send(job)
    assert (await gateway.result("one")).state == "done"
    await gateway.engine.send(make_job("two"))
    await gateway.result("two")
    assert len(gateway.of("one")) == 1


async def test_a_result_comes_again_until_it_is_acknowledged(
    gateway: Any, make_job: MakeJob
) -> None:
    gateway.acknowledge = False
    await gateway.engine.send(make_job("one"))
    await gateway.result("one")
    await gateway.read_again()
    await gateway.until(lambda: len(gateway.of("one")) == 2)
    gateway.acknowledge = True
    await gateway.read_again()
    await gateway.until(lambda: len(gateway.of("one")) == 3)
    await gateway.read_again()
    await gateway.engine.send(make_job("two"))
    await gateway.result("two")
    assert len(gateway.of("one")) == 3
    assert all(result == gateway.of("one")[0] for result in gateway.of("one"))


async def test_a_failing_job_fails_with_a_sentence_and_the_next_one_runs(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.send(make_job("one", "raise"))
    result = await gateway.result("one")
    assert (result.state, result.error_kind) == ("failed", "internal")
    assert "RuntimeError" in result.error
    assert "as scripted" not in result.error  # what went wrong inside is for the log
    await gateway.engine.send(make_job("two", "refuse"))
    result = await gateway.result("two")
    assert (result.state, result.error, result.error_kind) == ("failed", "No.", "bad_request")
    await gateway.engine.send(make_job("three"))
    assert (await gateway.result("three")).state == "done"


async def test_a_job_nobody_can_run_is_refused_in_words(gateway: Any, make_job: MakeJob) -> None:
    bad = {
        "params": make_job("params", params={"prompt": "x", "height": -1}),
        "count": make_job("count", count=99),
        "generator": make_job("generator", generator="oracle"),
        "kind": make_job("kind").model_copy(update={"kind": "train"}),
    }
    for job in bad.values():
        await gateway.engine.send(job)
    said = {name: await gateway.result(name) for name in bad}
    assert {result.state for result in said.values()} == {"failed"}
    assert "height" in said["params"].error
    assert "between 1 and 4" in said["count"].error
    assert "oracle" in said["generator"].error
    assert "train" in said["kind"].error
    assert "训练" in said["kind"].error_zh
    assert "1 和 4 之间" in said["count"].error_zh
    assert "oracle" in said["generator"].error_zh


async def test_inputs_travel_by_artifact(
    gateway: Any, make_job: MakeJob, settings: GeneratorSettings
) -> None:
    store = open_store(settings.artifacts)
    key = await store.put(b"a picture", owner="somebody")
    ref = ArtifactRef(key=key, mime="image/png", size_bytes=9)
    lost = ref.model_copy(update={"key": "0" * 64})
    await gateway.engine.send(make_job("given", inputs={"image": ref}))
    await gateway.engine.send(make_job("lost", inputs={"image": lost}))
    assert (await gateway.result("given")).artifacts[0].key == key
    result = await gateway.result("lost")
    assert (result.state, result.error_kind) == ("failed", "bad_request")
    assert "image" in result.error


async def test_a_poison_job_fails_after_three_strikes_and_harms_nobody(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "gate")
    good = [f"good {number}" for number in range(5)]
    for name in (*good[:2], "poison", *good[2:]):
        await gateway.engine.send(make_job(name, "crash" if name == "poison" else "nothing"))
    (tmp_path / "gate").touch()
    result = await gateway.result("poison")
    assert (result.state, result.error_kind) == ("failed", "crashed")
    assert "three times" in result.error
    for name in good:
        assert (await gateway.result(name)).state == "done"
        assert len(gateway.of(name)) == 1
        assert [event.strikes for event in gateway.seen(Struck, name)] in ([], [1])
    assert [event.strikes for event in gateway.seen(Struck, "poison")] == [1, 2, 3]


async def test_a_job_that_crashed_its_worker_by_chance_gets_another_try(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await gateway.engine.send(make_job("one", f"crash:{tmp_path / 'once'}"))
    assert (await gateway.result("one")).state == "done"
    assert [event.strikes for event in gateway.seen(Struck)] == [1]


async def test_a_job_with_strikes_runs_alone(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "gate")
    await gateway.engine.send(make_job("one"))
    await gateway.engine.send(make_job("struck", strikes=1))
    await gateway.engine.send(make_job("two"))
    await gateway.engine.send(make_job("out", strikes=3))
    (tmp_path / "gate").touch()
    for name in ("one", "two", "struck"):
        assert (await gateway.result(name)).state == "done"
    assert (await gateway.result("out")).error_kind == "crashed"
    sizes = {event.job_id: event.batch_size for event in gateway.seen(Started)}
    assert sizes == {"blocker": 1, "one": 2, "two": 2, "struck": 1}


async def test_compatible_jobs_share_a_batch_counted_in_items(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "gate")
    for number in range(6):
        await gateway.engine.send(make_job(str(number), count=4))
    (tmp_path / "gate").touch()
    for number in range(6):
        await gateway.result(str(number))
    sizes = [event.batch_size for event in gateway.seen(Started) if event.job_id != "blocker"]
    assert sizes == [16, 16, 16, 16, 8, 8]  # `diffusion` takes 16 items at once


async def test_jobs_of_another_kind_are_held_for_the_next_round(
    gateway: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    await busy(gateway, make_job, tmp_path / "gate")
    for number in range(8):
        await gateway.engine.send(make_job(str(number), kind="ab"[number % 2]))
    (tmp_path / "gate").touch()
    for number in range(8):
        await gateway.result(str(number))
    started = [event for event in gateway.seen(Started) if event.job_id != "blocker"]
    assert [event.job_id for event in started] == list("02461357")
    assert {event.batch_size for event in started} == {4}


async def test_progress_is_told_in_order(gateway: Any, make_job: MakeJob) -> None:
    await gateway.engine.send(make_job("one", "steps:5"))
    await gateway.result("one")
    await gateway.until(lambda: len(gateway.seen(Progress, "one")) == 5)
    steps = [(e.inference_step, e.total_steps, e.text) for e in gateway.seen(Progress, "one")]
    assert steps == [(n, 5, f"step {n}") for n in range(1, 6)]
    kinds = [type(event) for event in gateway.events if getattr(event, "job_id", "") == "one"]
    assert kinds[0] is Started


async def test_capacity_is_told_from_loading_to_ready(gateway: Any, make_job: MakeJob) -> None:
    ready = await gateway.until(lambda: [e for e in gateway.seen(Capacity) if e.state == "ready"])
    assert gateway.seen(Capacity)[0].state == "loading"
    assert ready[0].slots >= 1
    assert ready[0].device == "scripted"
    assert ready[0].loaded_models == ("scripted",)
    await gateway.engine.send(make_job("one", "wait"))
    await gateway.until(lambda: [e for e in gateway.seen(Capacity) if e.held == 1])
    await gateway.engine.cancel("one")
    await gateway.result("one")
    await gateway.until(lambda: gateway.seen(Capacity)[-1].held == 0)


async def test_held_jobs_are_beaten_for_even_while_the_model_holds_the_interpreter(
    gateway: Any, make_job: MakeJob
) -> None:
    await gateway.engine.send(make_job("one", "gil:1"))
    await gateway.event(Started, "one")
    await gateway.engine.send(make_job("two", kind="b"))
    await gateway.until(lambda: len(gateway.seen(Heartbeat, "one")) >= 3)
    await gateway.until(lambda: len(gateway.seen(Heartbeat, "two")) >= 1)
    assert not gateway.of("one")


async def test_a_model_without_progress_is_restarted_and_its_job_given_up(
    make_engine: Any, open_gateway: Any, settings: GeneratorSettings, make_job: MakeJob
) -> None:
    quick = settings.model_copy(update={"stall_s": 0.5, "max_strikes": 2})
    async with make_engine(quick) as engine, open_gateway(engine) as gateway:
        await engine.send(make_job("stuck", "sleep:3600"))
        assert (await gateway.result("stuck")).error_kind == "crashed"
        await engine.send(make_job("next"))
        assert (await gateway.result("next")).state == "done"


async def test_leaving_the_engine_ends_its_readers(
    make_engine: Any, settings: GeneratorSettings
) -> None:
    async with make_engine(settings) as engine:
        readers = [
            asyncio.create_task(anext(aiter(engine.results()), None)),
            asyncio.create_task(_drain(engine.events())),
        ]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await asyncio.gather(*readers)


async def _drain(events: Any) -> None:
    async for _ in events:
        pass
