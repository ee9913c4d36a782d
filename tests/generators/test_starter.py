"""The weights that ship: they load as what they say, and keep their promises for real."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from generators import catalog
from generators.contract import BadRequest, Generated, GenerateRequest
from generators.registry import ModelEntry, starter_entries

ENTRIES = {
    entry.name: entry
    for entry in starter_entries()
    if entry.weights and "prompt" in entry.capabilities
}


@pytest.fixture(scope="module", params=ENTRIES)
def entry(request: pytest.FixtureRequest) -> ModelEntry:
    return ENTRIES[request.param]


@pytest.fixture(scope="module")
def model(entry: ModelEntry, runtime: Any) -> Any:
    return catalog.load(entry.generator).load(entry, runtime)


def ask(entry: ModelEntry, prompt: str, seed: int, count: int = 1, **params: Any) -> Any:
    checked = catalog.spec(entry.generator).params(prompt=prompt, **params)
    return GenerateRequest(f"{prompt} {seed}", checked, seed, count)


def run(model: Any, *requests: GenerateRequest) -> list[Any]:
    return list(model.generate(requests, lambda step: frozenset()))


def pixels(generated: Generated) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(generated.items[0].data)), dtype=int)


def test_strangers_change_neither_picture_nor_text(entry: ModelEntry, model: Any) -> None:
    alone = run(model, ask(entry, "red heart", 7))[0]
    again = run(model, ask(entry, "red heart", 7))[0]
    company = run(
        model,
        *(ask(entry, prompt, seed, 2) for seed, prompt in enumerate(["cat", "blue sky", "x"])),
        ask(entry, "red heart", 7),
    )[-1]
    assert [item.data for item in alone.items] == [item.data for item in again.items]
    if entry.modality == "image":
        assert np.abs(pixels(alone) - pixels(company)).max() <= 2
    else:
        assert [item.data for item in alone.items] == [item.data for item in company.items]


def test_what_the_weights_cannot_do_is_declined_in_words(entry: ModelEntry, model: Any) -> None:
    """The limits that serving needs are in the manifest."""
    if entry.generator not in {"diffusion", "gpt2"}:
        pytest.skip("takes nothing that it could decline")
    request = {
        "image": ask(
            entry, "red heart", 7, **({"width": 128} if entry.modality == "image" else {})
        ),
        "text": ask(entry, "龙", 7),
    }[entry.modality]
    [answer] = run(model, request)
    assert isinstance(answer, BadRequest)


def test_a_headword_gives_an_entry(entry: ModelEntry, model: Any) -> None:
    if entry.modality != "text":
        pytest.skip("writes no entries")
    [answer] = run(model, ask(entry, "rubber duck", 3))
    assert answer.items[0].data.decode().startswith("rubber duck (")
