"""The model child's executor: loading, receipts, grids, memory, and what goes wrong."""

from __future__ import annotations

import gc
import importlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from generators import catalog
from generators.contract import (
    BadRequest,
    Cancelled,
    Generated,
    GenerateRequest,
    Media,
    OnStep,
    Receipt,
    Step,
)
from generators.engine.port import EngineJob
from generators.registry import ModelEntry
from generators.runner.halving import within_memory
from generators.runner.process import Runner
from generators.runtime import Every, ModelCache, Runtime, is_out_of_memory, rng
from generators.serving import Batch, Outcome
from generators.settings import GeneratorSettings


class Supervisor:
    """Takes what an executor reports. `cancel` names jobs whose results nobody wants."""

    def __init__(self, *cancel: str) -> None:
        self.unwanted = frozenset(cancel)
        self.outcomes: dict[str, Outcome] = {}
        self.steps: list[Step] = []
        self.reports: list[dict[str, Any]] = []
        self.jobs: set[str] = set()
        self.arriving: list[Batch] = []

    def status(self, **values: Any) -> None:
        self.reports.append(values)

    def on_step(self, step: Step) -> frozenset[str]:
        self.steps.append(step)
        return self.check()

    def check(self) -> frozenset[str]:
        if self.unwanted and self.unwanted == self.jobs - set(self.outcomes):
            raise Cancelled
        return self.unwanted

    def cancelled(self, job_id: str) -> bool:
        return job_id in self.unwanted

    def newcomers(self) -> list[Batch]:
        came, self.arriving = self.arriving, []
        return came

    def report(self, step: Step) -> None:
        self.steps.append(step)

    def answer(self, outcome: Outcome) -> None:
        self.outcomes.setdefault(outcome.job_id, outcome)

    def run(self, runner: Runner, *jobs: EngineJob, **inputs: dict[str, bytes]) -> dict[str, Any]:
        self.jobs = {job.id for job in jobs}
        runner.run(Batch(jobs, inputs), self)
        return self.outcomes


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> Iterator[None]:
    """What the libraries hold for ever need not be looked through at every collection."""
    importlib.import_module("diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion")
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def settings(tmp_path: Path, sd_folder: Path, gpt2_folder: Path) -> GeneratorSettings:
    (tmp_path / "models.toml").write_text(
        f'[models.draws]\ngenerator = "diffusion"\nweights = "{sd_folder}"\n'
        f'[models.writes]\ngenerator = "gpt2"\nweights = "{gpt2_folder}"\n'
    )
    return GeneratorSettings(data_dir=tmp_path, preload=False, device="cpu", _env_file=None)


@pytest.fixture
def runner(settings: GeneratorSettings) -> Runner:
    return Runner(settings)


def job(job_id: str, model: str, count: int = 1, seed: int = 7, **params: Any) -> EngineJob:
    generator = {"draws": "diffusion", "writes": "gpt2", "lanczos": "lanczos"}.get(model, "gpt2")
    return EngineJob(
        id=job_id,
        generator=generator,
        model=model,
        params=params or {"prompt": "a red heart"},
        seed=seed,
        count=count,
        compat="",
        owner="o",
    )


def test_a_picture_comes_with_grid_and_receipt(runner: Runner) -> None:
    outcome = Supervisor().run(runner, job("a", "draws", 4))["a"]
    assert outcome.state == "done"
    assert [media.role for media in outcome.media] == ["item"] * 4 + ["grid"]
    receipt = Receipt.model_validate(outcome.receipt)
    assert (receipt.generator, receipt.model, receipt.device) == ("diffusion", "draws", "cpu")
    assert (receipt.seed, receipt.count, receipt.batch_size) == (7, 4, 4)
    assert len(receipt.weights_hash) == 16
    assert receipt.dtype == "float32"
    assert {"torch", "diffusers", "transformers"} <= set(receipt.versions)
    assert receipt.params["num_inference_steps"] == 4
    assert receipt.gpu_ms == outcome.gpu_ms >= 1


def test_a_receipt_is_enough_to_make_the_result_again(
    runner: Runner, settings: GeneratorSettings
) -> None:
    first = Supervisor().run(runner, job("a", "draws", 2))["a"]
    again = job("b", first.receipt["model"], 2, first.receipt["seed"], **first.receipt["params"])
    second = Supervisor().run(Runner(settings), again)["b"]  # as after a restart
    assert [m.data for m in first.media] == [m.data for m in second.media]
    assert first.receipt["weights_hash"] == second.receipt["weights_hash"]


def test_a_single_item_and_texts_have_no_grid(runner: Runner) -> None:
    outcomes = Supervisor().run(runner, job("a", "draws"), job("b", "writes", 3))
    assert [media.role for media in outcomes["a"].media] == ["item"]
    assert [media.role for media in outcomes["b"].media] == ["item"] * 3


def test_strangers_share_the_time_by_items(runner: Runner) -> None:
    outcomes = Supervisor().run(runner, job("a", "draws", 1), job("b", "draws", 3))
    assert outcomes["a"].receipt["batch_size"] == 4
    assert outcomes["b"].gpu_ms == pytest.approx(3 * outcomes["a"].gpu_ms, abs=3)


def test_jobs_that_do_not_fit_together_are_run_apart(runner: Runner) -> None:
    """The supervisor's word for what is compatible is checked."""
    small = {"prompt": "x", "height": 32, "width": 32}
    outcomes = Supervisor().run(
        runner, job("a", "draws", **small), job("b", "draws"), job("c", "draws", **small)
    )
    sizes = {name: outcome.receipt["batch_size"] for name, outcome in outcomes.items()}
    assert sizes == {"a": 2, "b": 1, "c": 2}


def test_what_cannot_be_served_is_said_in_sentences_and_harms_nobody(
    runner: Runner, settings: GeneratorSettings, tmp_path: Path
) -> None:
    with settings.models_path.open("a") as file:
        (tmp_path / "empty").mkdir()
        file.write('[models.broken]\ngenerator = "gpt2"\nweights = "empty"\n')
    outcomes = Supervisor().run(
        runner,
        job("good", "writes"),
        job("params", "writes", prompt="x", temperature=9),
        job("unread", "writes", prompt="龙"),
        job("nobody", "nobody"),
        job("broken", "broken"),
        job("other", "draws").model_copy(update={"generator": "gpt2"}),
        job("no input", "lanczos", scale=2),
    )
    assert outcomes.pop("good").state == "done"
    assert {outcome.state for outcome in outcomes.values()} == {"failed"}
    said = {name: outcome.error for name, outcome in outcomes.items()}
    assert "temperature" in said["params"]
    assert "English" in said["unread"]
    assert "There is no model 'nobody'" in said["nobody"]
    assert "'broken' could not be loaded" in said["broken"]
    assert "no gpt2 model" in said["other"]
    assert "no picture" in said["no input"]
    assert all(text.endswith(".") and "Traceback" not in text for text in said.values())


def test_a_model_the_host_has_just_added_is_found(
    runner: Runner, settings: GeneratorSettings, gpt2_folder: Path
) -> None:
    assert Supervisor().run(runner, job("a", "new"))["a"].state == "failed"
    with settings.models_path.open("a") as file:
        file.write(f'[models.new]\ngenerator = "gpt2"\nweights = "{gpt2_folder}"\n')
    assert Supervisor().run(runner, job("a", "new"))["a"].state == "done"


def test_cancelled_jobs_say_so_with_the_time_they_took(runner: Runner) -> None:
    supervisor = Supervisor("a")
    outcomes = supervisor.run(runner, job("a", "draws"), job("b", "draws"))
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "a": "cancelled",
        "b": "done",
    }
    outcomes = Supervisor("a", "b").run(runner, job("a", "draws"), job("b", "draws"))
    assert {outcome.state for outcome in outcomes.values()} <= {"cancelled"}


def test_starting_loads_what_ships_and_says_so(settings: GeneratorSettings) -> None:
    supervisor = Supervisor()
    Runner(settings).start(supervisor)
    assert supervisor.reports[-1]["ready"]
    preloading = Runner(settings.model_copy(update={"preload": True}))
    supervisor = Supervisor()
    preloading.start(supervisor)
    assert not supervisor.reports[0]["ready"]
    assert supervisor.reports[-1]["ready"]


# ---------------------------------------------------------------- memory


class Scarce:
    """A model that has room for so many items at once, and draws item seeds as texts."""

    libraries = ("torch",)
    memory_bytes = 0

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, []

    def generate(self, requests: Sequence[GenerateRequest], on_step: OnStep) -> list[Any]:
        items = sum(request.count for request in requests)
        self.sizes.append(items)
        if items > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        on_step(Step(1, 2))
        on_step(Step(2, 2))
        return [
            BadRequest("No.")
            if request.job_id == "no"
            else Generated([Media(str(seed).encode(), "t") for seed in request.item_seeds()], {})
            for request in requests
        ]


def requests(*shapes: tuple[str, int]) -> list[GenerateRequest]:
    params = catalog.spec("gpt2").params(prompt="x")
    return [GenerateRequest(name, params, 100, count) for name, count in shapes]


@pytest.mark.parametrize("room", [1, 2, 3, 9])
def test_a_batch_too_large_for_memory_is_halved_and_draws_the_same(room: int) -> None:
    asked = requests(("a", 4), ("no", 1), ("b", 3), ("c", 1))
    steps: list[Step] = []
    model = Scarce(room)
    answers = within_memory(model, asked, lambda step: steps.append(step) or frozenset())
    assert isinstance(answers.pop(1), BadRequest)
    assert [[item.data for item in answer.items] for answer in answers] == [
        [b"100", b"101", b"102", b"103"],
        [b"100", b"101", b"102"],
        [b"100"],
    ]
    done = [step.inference_step / step.total_steps for step in steps]
    assert done == sorted(done)
    assert done[-1] == 1


def test_what_does_not_even_fit_alone_gets_through() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        within_memory(Scarce(0), requests(("a", 2)), lambda step: frozenset())


def test_other_errors_are_not_tried_again() -> None:
    model = Scarce(9)
    model.generate = lambda *_: (_ for _ in ()).throw(RuntimeError("broken"))  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="broken"):
        within_memory(model, requests(("a", 4)), lambda step: frozenset())
    assert is_out_of_memory(RuntimeError("[enforce fail] can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("broken"))


class Heavy:
    """A model of so many bytes."""

    def __init__(self, size: int) -> None:
        self.memory_bytes = size


def cache_of(limit: int, sizes: dict[str, int]) -> tuple[ModelCache, list[str]]:
    loaded: list[str] = []

    def load(entry: ModelEntry, runtime: Runtime) -> Heavy:
        loaded.append(entry.name)
        return Heavy(sizes[entry.name])

    return ModelCache(Runtime(torch.device("cpu"), "auto", limit), load), loaded


def test_the_least_recently_used_model_makes_room() -> None:
    cache, loaded = cache_of(100, {"a": 40, "b": 40, "c": 40, "huge": 400})
    entries = {n: ModelEntry(name=n, generator="lanczos") for n in ("a", "b", "c", "huge")}
    for name in "abaca":
        cache.get(entries[name])
    assert loaded == ["a", "b", "c"]
    assert cache.names == ["c", "a"]
    assert cache.memory_bytes == 80
    cache.get(entries["huge"])
    assert cache.names == ["huge"]
    cache.get(entries["a"])
    assert cache.names == ["a"]


def test_an_entry_the_host_has_changed_is_loaded_again() -> None:
    cache, loaded = cache_of(100, {"a": 1})
    entry = ModelEntry(name="a", generator="lanczos")
    cache.get(entry)
    cache.get(entry)
    cache.get(entry.model_copy(update={"defaults": {"scale": 2}}))
    assert loaded == ["a", "a"]


def test_models_that_were_dropped_are_gone(
    sd_folder: Path, entry_for: Callable[..., ModelEntry]
) -> None:
    cache = ModelCache(Runtime(torch.device("cpu"), "auto", 1))
    first = weakref.ref(cache.get(entry_for(sd_folder, name="a")).model.pipeline.unet)
    cache.get(entry_for(sd_folder, name="b"))
    gc.collect()
    assert cache.names == ["b"]
    assert first() is None


def test_memory_is_flat_over_many_switches(
    gpt2_folder: Path, entry_for: Callable[..., ModelEntry]
) -> None:
    cache = ModelCache(Runtime(torch.device("cpu"), "auto", 1))  # one model at a time
    entries = [entry_for(gpt2_folder, name=name) for name in ("a", "b")]

    def switch(times: int) -> int:
        for number in range(times):
            cache.get(entries[number % 2]).model.generate(
                requests(("x", 1)), lambda step: frozenset()
            )
        gc.collect()
        return psutil.Process().memory_info().rss

    after_some = switch(10)
    grown = switch(20) - after_some
    assert grown < 8 * 1024 * 1024


def test_rng_is_the_same_noise_for_a_seed() -> None:
    assert torch.equal(torch.randn(4, generator=rng(3)), torch.randn(4, generator=rng(3)))


def test_a_dear_action_becomes_rare() -> None:
    every = Every(-1.0)
    assert every.due()
    assert every.due()
    every.spent(1e6)
    assert not every.due()
