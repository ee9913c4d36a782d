"""Requests that come and go while others are being written, for every kind of network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from generators import catalog
from generators.contract import BadRequest, GenerateRequest, Session
from generators.registry import ModelEntry
from generators.writing.memories import BatchMemory, RowMemory

PARAMS = catalog.spec("gpt2").params


@pytest.fixture(scope="session")
def mistral_folder(
    tmp_path_factory: pytest.TempPathFactory, make_language_model: Callable[..., None]
) -> Path:
    """Sees a window of eight tokens only."""
    from transformers import MistralConfig, MistralForCausalLM

    folder = tmp_path_factory.mktemp("weights") / "mistral"
    config = MistralConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        sliding_window=8,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    make_language_model(folder, MistralForCausalLM, config)
    return folder


@pytest.fixture(scope="module", params=["gpt2", "lstm", "mistral"])
def model(
    request: pytest.FixtureRequest, entry_for: Callable[..., ModelEntry], runtime: Any
) -> Any:
    folder = request.getfixturevalue(f"{request.param}_folder")
    generator = "lstm" if request.param == "lstm" else "gpt2"
    entry = entry_for(folder, generator, defaults={}, limits={})
    return catalog.load(generator).load(entry, runtime)


@pytest.fixture(scope="module")
def gpt2(gpt2_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> Any:
    return catalog.load("gpt2").load(entry_for(gpt2_folder, defaults={}, limits={}), runtime)


def ask(job_id: str, seed: int = 7, count: int = 1, **params: Any) -> GenerateRequest:
    values = {"prompt": "a red heart", "max_new_tokens": 20, "repetition_penalty": 1.2, **params}
    return GenerateRequest(job_id, PARAMS(**values), seed, count)


def texts(generated: Any) -> list[str]:
    return [item.data.decode() for item in generated.items]


def alone(model: Any, request: GenerateRequest) -> list[str]:
    return texts(model.generate([request], lambda step: frozenset())[0])


def to_the_end(session: Session) -> dict[str, list[str]]:
    """All results, by job."""
    results = {}
    while session.jobs:
        results |= {job: texts(made) for job, made in session.step().finished.items()}
    return results


CROWD = [
    ask("a", 1, 3, prompt="two small blue cats on the table, a dragon", max_new_tokens=5),
    ask("b", 2, 2, prompt="d", top_k=0, top_p=1.0),
    ask("c", 3, temperature=0.0, max_new_tokens=40, repetition_penalty=1.0),
    ask("d", 4, prompt="stories. a creature", max_new_tokens=90),
]


def test_a_text_is_the_same_whenever_it_joins_and_whoever_leaves(model: Any) -> None:
    expected = {request.job_id: alone(model, request) for request in CROWD}
    session: Session = model.open(16)
    waiting, results = list(CROWD), {}
    while waiting or session.jobs:
        if waiting and session.room() >= waiting[0].count:  # one more at each step
            session.join(waiting.pop(0))
        results |= {job: texts(made) for job, made in session.step().finished.items()}
    assert results == expected


def test_a_newcomer_gets_its_first_token_at_the_next_step(gpt2: Any) -> None:
    session: Session = gpt2.open(4)
    session.join(ask("a", temperature=0.0, max_new_tokens=60))
    for _ in range(5):
        session.step()
    session.join(ask("b", 2))
    step = session.step()
    assert step.progress["b"][0] == 1
    assert step.texts["b"].startswith("a red heart")
    assert set(session.jobs) == {"a", "b"}


def test_who_ends_leaves_at_once_and_makes_room(model: Any) -> None:
    session: Session = model.open(3)
    session.join(ask("long", 1, 2, temperature=0.0, max_new_tokens=30, prompt="two small"))
    session.join(ask("short", 2, max_new_tokens=1))
    assert session.room() == 0
    step = session.step()
    assert set(step.finished) == {"short"}
    assert step.progress["short"] == (1, 1)
    assert "short" not in session.jobs
    if session._memory.joins:  # type: ignore[attr-defined]
        assert session.room() == 1


def test_who_is_cancelled_leaves_and_the_others_do_not_notice(model: Any) -> None:
    expected = alone(model, CROWD[3])
    session: Session = model.open(16)
    for request in CROWD:
        session.join(request)
    session.step()
    session.leave("a")
    session.leave("nobody")
    session.step()
    session.leave("c")
    assert to_the_end(session)["d"] == expected
    assert session.room() == 16


def test_leaving_before_the_first_step_is_possible(gpt2: Any) -> None:
    session: Session = gpt2.open(2)
    session.join(ask("a"))
    session.leave("a")
    assert not session.jobs
    assert session.room() == 2


def test_a_prompt_that_cannot_be_read_is_refused_at_the_door(gpt2: Any) -> None:
    session: Session = gpt2.open(2)
    with pytest.raises(BadRequest):
        session.join(ask("a", prompt="\x00 "))
    assert not session.jobs


def test_each_kind_of_network_gets_the_memory_that_suits_it(
    gpt2: Any, mistral_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> None:
    entry = entry_for(mistral_folder, "gpt2", defaults={}, limits={})
    mistral = catalog.load("gpt2").load(entry, runtime)
    assert isinstance(gpt2.open(1)._memory, RowMemory)
    assert isinstance(mistral.open(1)._memory, BatchMemory)
    session = mistral.open(4)
    session.join(ask("a"))
    assert session.room() == 3
    session.step()
    assert session.room() == 0  # newcomers wait for the next round


def test_memory_grows_with_what_is_written_and_no_further(gpt2: Any) -> None:
    session = gpt2.open(2)
    session.join(ask("a", temperature=0.0, max_new_tokens=200, prompt="two"))
    session.join(ask("b", 1, max_new_tokens=1))
    while session.jobs:
        session.step()
        keys = session._memory._layers[0].keys
        assert keys.shape[0] <= 2
        assert keys.shape[2] <= 64  # this model's context


def test_a_text_of_its_own_pace_reports_its_own_progress(gpt2: Any) -> None:
    session: Session = gpt2.open(4)
    session.join(ask("a", temperature=0.0, max_new_tokens=10))
    seen = []
    session.step()
    session.join(ask("b", 3, temperature=0.0, max_new_tokens=4, prompt="two small"))
    while session.jobs:
        seen.append(session.step().progress)
    of_b = [progress["b"] for progress in seen if "b" in progress]
    assert of_b[0] == (1, 4)
    assert of_b[-1] == (4, 4)
    assert torch.is_inference_mode_enabled() is False


@pytest.mark.parametrize("generator", ["gpt2", "lstm"])
def test_half_precision_writes_and_says_how_exact_it_is(
    generator: str, request: pytest.FixtureRequest, entry_for: Callable[..., ModelEntry]
) -> None:
    from generators.runtime import Runtime

    folder = request.getfixturevalue(f"{generator}_folder")
    half = Runtime(torch.device("cpu"), "bfloat16")
    model = catalog.load(generator).load(entry_for(folder), half)
    assert "8 bits" in model.tolerance
    assert alone(model, ask("a"))[0].startswith("a red heart")


def test_large_models_are_halved_where_the_processor_gains_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from generators.runtime import Runtime

    def dtype(generator: str = "gpt2", size: int = 2**27, **changes: Any) -> torch.dtype:
        with (tmp_path / "model.safetensors").open("wb") as file:
            file.truncate(size)
        entry = ModelEntry(name="x", generator=generator, weights=str(tmp_path), **changes)
        return Runtime(torch.device("cpu")).dtype_for(entry)

    for tiles, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda t=tiles: {"amx_bf16": t})
        assert dtype() == expected
        assert dtype(size=2**20) == torch.float32
        assert dtype(starter=True) == torch.float32  # sameness is promised
        assert dtype("diffusion") == expected
        assert dtype("audio_gan") == torch.float32  # not measured
        assert dtype(dtype="float16") == torch.float16
