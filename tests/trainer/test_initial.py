"""Weights to start from: found by folder, name or hub id, and refused in words where unfit."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from generators.weights import STARTER, WeightsManifest, write_manifest
from trainer import initial
from trainer.contract import TrainingError

COMMIT = "0123456789" * 4


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)

    width: int = 8
    heads: int = 2


class Continues:
    init_from = frozenset({"gpt2"})


def test_a_folder_and_a_model_of_the_studio_are_found(tmp_path: Path) -> None:
    assert initial.find(str(tmp_path), None) == tmp_path
    assert initial.find("gpt2", None) == (STARTER / "gpt2").resolve()
    mine = tmp_path / "models.toml"
    (tmp_path / "w").mkdir()
    mine.write_text('[models.mine]\ngenerator = "gpt2"\nweights = "w"\n', encoding="utf-8")
    assert initial.find("mine", mine) == (tmp_path / "w").resolve()


def test_a_name_nobody_knows_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no weights 'gpt3'.*gpt2.*commit"):
        initial.find("gpt3", None)
    with pytest.raises(TrainingError, match="lanczos"):  # a model without weights
        initial.find("lanczos", None)
    broken = tmp_path / "models.toml"
    broken.write_text("[models", encoding="utf-8")
    with pytest.raises(TrainingError, match="TOML"):
        initial.find("mine", broken)


@pytest.mark.parametrize("name", ["owner/name@main", "owner@" + COMMIT, "owner/name@0123"])
def test_a_hub_model_must_be_pinned(name: str) -> None:
    with pytest.raises(TrainingError, match="40 hexadecimal"):
        initial.find(name, None)


def test_weights_of_another_family_are_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, WeightsManifest(generator="diffusion"))
    with (
        pytest.raises(TrainingError, match=r"holds weights for diffusion.*from those for gpt2"),
        initial.explained(tmp_path, Continues),
    ):
        pytest.fail("nothing is loaded")


def test_what_a_library_makes_of_unfit_weights_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(TrainingError, match=r"cannot be continued by this recipe: size mismatch$"),
        initial.explained(tmp_path, Continues),
    ):
        raise RuntimeError("size mismatch\n  for layer 1\n  for layer 2")
    with pytest.raises(RuntimeError), initial.explained(None, Continues):
        raise RuntimeError("no weights were given: this is a bug, and a traceback is right")


def test_a_shape_the_recipe_states_must_be_that_of_the_weights(tmp_path: Path) -> None:
    initial.refuse_other_shape(Settings(), {"width": 16, "heads": 4}, tmp_path)
    initial.refuse_other_shape(Settings(width=16), {"width": 16, "heads": 4}, tmp_path)
    with pytest.raises(TrainingError, match=r"heads = 2, but the weights in .* have 4"):
        initial.refuse_other_shape(Settings(heads=2), {"width": 16, "heads": 4}, tmp_path)
