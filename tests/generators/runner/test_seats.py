"""Texts in the model child: seated as they come, beside each other and beside pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generators.contract import Generated, GenerateRequest, Media, Step
from generators.engine.port import EngineJob
from generators.runner.process import Runner
from generators.serving import Batch, Outcome
from generators.settings import GeneratorSettings


class Supervisor:
    """Sends newcomers and takes what comes back. `arriving` come with the next look for them."""

    def __init__(self) -> None:
        self.arriving: list[Batch] = []
        self.unwanted: set[str] = set()
        self.outcomes: dict[str, Outcome] = {}
        self.reports: list[Step] = []
        self.on_step: Callable[[Step], frozenset[str]] = lambda step: frozenset()

    def send(self, *jobs: EngineJob) -> None:
        self.arriving.append(Batch(jobs, {}))

    def status(self, **values: Any) -> None:
        pass

    def newcomers(self) -> list[Batch]:
        came, self.arriving = self.arriving, []
        return came

    def report(self, step: Step) -> None:
        self.reports.append(step)

    def check(self) -> frozenset[str]:
        return frozenset()

    def cancelled(self, job_id: str) -> bool:
        return job_id in self.unwanted

    def answer(self, outcome: Outcome) -> None:
        assert outcome.job_id not in self.outcomes, "answered twice"
        self.outcomes[outcome.job_id] = outcome

    def text(self, job_id: str) -> str:
        outcome = self.outcomes[job_id]
        assert outcome.state == "done", outcome.error
        return outcome.media[0].data.decode()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


@pytest.fixture
def runner(tmp_path: Path, sd_folder: Path, gpt2_folder: Path, lstm_folder: Path) -> Runner:
    (tmp_path / "models.toml").write_text(
        f'[models.draws]\ngenerator = "diffusion"\nweights = "{sd_folder}"\n'
        f'[models.writes]\ngenerator = "gpt2"\nweights = "{gpt2_folder}"\n'
        f'[models.recalls]\ngenerator = "lstm"\nweights = "{lstm_folder}"\n'
    )
    return Runner(GeneratorSettings(data_dir=tmp_path, preload=False, device="cpu", _env_file=None))


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report every step of a picture, however quick the machine."""
    monkeypatch.setattr("generators.runner.process._STEP_REPORT_S", 0.0)


def job(job_id: str, model: str = "writes", seed: int = 7, **params: Any) -> EngineJob:
    generator = {"writes": "gpt2", "recalls": "lstm", "draws": "diffusion"}.get(model, "gpt2")
    values = {"prompt": "a red heart", **params}
    return EngineJob(
        id=job_id, generator=generator, model=model, params=values, seed=seed, compat="", owner="o"
    )


def to_the_end(runner: Runner, supervisor: Supervisor) -> int:
    """Take turns until nobody is there; how many it took."""
    turns = 1
    while runner.turn(supervisor):
        turns += 1
    return turns


def alone(runner: Runner, one: EngineJob) -> str:
    supervisor = Supervisor()
    runner.run(Batch([one], {}), supervisor)
    return supervisor.text(one.id)


def test_a_text_is_the_same_in_a_seat_as_in_a_batch_of_its_own(
    runner: Runner, supervisor: Supervisor
) -> None:
    jobs = [job("a", seed=1, max_new_tokens=30), job("b", seed=2), job("c", "recalls", seed=3)]
    expected = {one.id: alone(runner, one) for one in jobs}
    for one in jobs:  # each comes one token after the one before
        supervisor.send(one)
        runner.turn(supervisor)
    to_the_end(runner, supervisor)
    assert {name: supervisor.text(name) for name in expected} == expected
    receipt = supervisor.outcomes["a"].receipt
    assert receipt["batch_size"] == 2
    assert receipt["gpu_ms"] == supervisor.outcomes["a"].gpu_ms >= 1


def test_the_first_token_is_shown_at_once(runner: Runner, supervisor: Supervisor) -> None:
    supervisor.send(job("a", temperature=0.0, max_new_tokens=50))
    runner.turn(supervisor)
    assert supervisor.reports[0].texts["a"].startswith("a red heart")
    assert supervisor.reports[0].progress["a"] == (1, 50)


@pytest.mark.usefixtures("every_step")
def test_texts_are_written_while_a_picture_is_drawn(runner: Runner, supervisor: Supervisor) -> None:
    alone(runner, job("warm"))  # the model is in memory now
    expected = alone(runner, job("b", seed=5, max_new_tokens=3))
    ended_at: list[int] = []

    def on_step(step: Step) -> frozenset[str]:
        if step.inference_step == 1:
            supervisor.send(job("text", seed=5, max_new_tokens=3))
        if "text" in supervisor.outcomes:
            ended_at.append(step.inference_step)
        return frozenset()

    supervisor.on_step = on_step
    runner.run(Batch([job("picture", "draws", num_inference_steps=12)], {}), supervisor)
    assert supervisor.text("text") == expected
    assert supervisor.outcomes["picture"].state == "done"
    assert ended_at[0] < 12


@pytest.mark.usefixtures("every_step")
def test_a_model_is_not_loaded_in_the_middle_of_a_picture(
    runner: Runner, supervisor: Supervisor
) -> None:
    supervisor.on_step = lambda step: (
        (supervisor.send(job("text")) if step.inference_step == 1 else None) or frozenset()
    )
    runner.run(Batch([job("picture", "draws")], {}), supervisor)
    assert set(supervisor.outcomes) == {"picture"}
    to_the_end(runner, supervisor)
    assert supervisor.outcomes["text"].state == "done"


def test_texts_end_before_another_model_is_loaded(runner: Runner, supervisor: Supervisor) -> None:
    supervisor.send(job("text", temperature=0.0, max_new_tokens=20))
    runner.turn(supervisor)
    assert not supervisor.outcomes
    runner.run(Batch([job("picture", "draws")], {}), supervisor)
    assert list(supervisor.outcomes) == ["text", "picture"]


def test_who_finds_no_seat_waits_for_one_and_is_not_overtaken(
    runner: Runner, supervisor: Supervisor
) -> None:
    crowd = [job(f"{n}", seed=n, temperature=0.0, max_new_tokens=5 + n) for n in range(18)]
    supervisor.send(*crowd)
    to_the_end(runner, supervisor)
    assert [supervisor.outcomes[one.id].state for one in crowd] == ["done"] * 18
    assert max(o.receipt["batch_size"] for o in supervisor.outcomes.values()) == 16
    assert list(supervisor.outcomes)[-1] == "17"


def test_a_cancelled_text_leaves_whether_it_sits_or_waits(
    runner: Runner, supervisor: Supervisor
) -> None:
    supervisor.send(*(job(f"{n}", temperature=0.0, max_new_tokens=30) for n in range(17)))
    runner.turn(supervisor)
    supervisor.unwanted = {"3", "16"}
    runner.turn(supervisor)
    assert {n: o.state for n, o in supervisor.outcomes.items()} == {
        "3": "cancelled",
        "16": "cancelled",
    }
    assert supervisor.outcomes["3"].gpu_ms >= 0
    to_the_end(runner, supervisor)
    assert len(supervisor.outcomes) == 17


def test_what_cannot_be_served_is_said_and_harms_nobody(
    runner: Runner, supervisor: Supervisor
) -> None:
    supervisor.send(
        job("good"),
        job("params", temperature=9),
        job("unread", prompt="龙"),
        job("nobody", "nobody"),
        job("picture", "draws"),
    )
    to_the_end(runner, supervisor)
    assert supervisor.outcomes.pop("good").state == "done"
    said = {name: outcome.error for name, outcome in supervisor.outcomes.items()}
    assert "temperature" in said["params"]
    assert "English" in said["unread"]
    assert "nobody" in said["nobody"]
    assert "batches" in said["picture"]
    assert all(outcome.error_zh for outcome in supervisor.outcomes.values())


class Scarce:
    """A model whose sessions have room for so many items in memory; a text is its seed."""

    libraries = ("torch",)
    memory_bytes = 0

    def __init__(self, room: int, error: Exception) -> None:
        self.most, self.error, self.largest = room, error, 0
        self.seated: list[GenerateRequest] = []

    def open(self, max_items: int) -> Any:
        self.limit, self.seated = max_items, []
        return self

    @property
    def jobs(self) -> list[str]:
        return [request.job_id for request in self.seated]

    def room(self) -> int:
        return self.limit - len(self.seated)

    def join(self, request: GenerateRequest) -> None:
        self.seated.append(request)

    def step(self) -> Step:
        if len(self.seated) > self.most:
            raise self.error
        self.largest = max(self.largest, len(self.seated))
        made = {r.job_id: Generated([Media(b"%d" % r.seed, "t")], {}) for r in self.seated}
        self.seated = []
        return Step(1, 1, finished=made, progress=dict.fromkeys(made, (1, 1)))


def scarce(runner: Runner, monkeypatch: pytest.MonkeyPatch, room: int, error: Exception) -> Scarce:
    model = Scarce(room, error)
    monkeypatch.setattr("generators.models.gpt2.Model.load", lambda entry, runtime: model)
    return model


def test_where_memory_runs_out_half_as_many_begin_again(
    runner: Runner, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scarce(runner, monkeypatch, 3, torch.OutOfMemoryError("CUDA out of memory"))
    supervisor.send(*(job(f"{n}", seed=n) for n in range(10)))
    to_the_end(runner, supervisor)
    assert [supervisor.text(f"{n}") for n in range(10)] == [str(n) for n in range(10)]
    assert model.largest == 2


def test_a_text_that_does_not_fit_alone_is_refused(
    runner: Runner, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce(runner, monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    supervisor.send(job("a"))
    to_the_end(runner, supervisor)
    assert "memory" in supervisor.outcomes["a"].error


def test_a_model_that_breaks_fails_who_sat_there_and_serves_the_next(
    runner: Runner, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scarce(runner, monkeypatch, 1, RuntimeError("broken"))
    supervisor.send(job("a"), job("b"))
    to_the_end(runner, supervisor)
    assert {o.error_kind for o in supervisor.outcomes.values()} == {"internal"}
    model.most = 9
    supervisor.send(job("c", seed=3))
    to_the_end(runner, supervisor)
    assert supervisor.text("c") == "3"
