"""Two real steps of the audio objectives: what comes out plays, and a resumed run is the same."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from generators.nn.mel import FRAMES, MELS
from generators.nn.one_shot import LOUDEST, Notes, OneShot
from generators.weights import read_manifest
from trainer.catalog import load_recipe
from trainer.contract import Recipe, TrainingError
from trainer.evaluation.audio_judge import AudioJudge
from trainer.loop import Order, Run


@pytest.fixture(autouse=True)
def global_random_state() -> Iterator[None]:
    """Training seeds torch's global generator; other tests must not notice."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def trained(recipe_name: str, dataset: Path, out: Path, **changes: Any) -> Path:
    given = {key: changes.pop(key) for key in ("resume", "init") if key in changes}
    recipe = Recipe.model_validate({**load_recipe(recipe_name).model_dump(), **changes})
    weights = Run(Order(recipe, recipe_name, dataset, out, **given), lambda *_, **__: None).train()
    assert weights is not None
    return weights


@pytest.fixture(scope="module")
def weights(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("tiny_audio_gan", sounds, tmp_path_factory.mktemp("audio"))


def test_the_player_loads_and_plays_within_bounds(weights: Path) -> None:
    net = OneShot.from_pretrained(weights)
    assert [sound.name for sound in net.config.sounds] == ["Flute", "Snare"]
    assert net.config.sounds[0].pitches == (61, 71)
    notes = Notes(
        torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([65.0, 0.0]),
        torch.tensor([80.0, 80.0]), torch.tensor([0.5, 0.5]),
    )  # fmt: skip
    with torch.no_grad():
        made = net.player(notes, torch.randn(2, net.config.latent))
    assert made.shape == (2, MELS, FRAMES)
    assert made.abs().max() <= LOUDEST


def test_the_folder_says_what_it_is(weights: Path) -> None:
    manifest = read_manifest(weights)
    assert manifest is not None
    assert (manifest.generator, manifest.licence) == ("audio_gan", "CC0-1.0")
    assert manifest.limits["max_seconds"] == 2.0
    assert set(manifest.figures) == {"spectral_distance", "out_of_range", "prompt_accuracy"}
    assert "## Limits" in (weights / "README.md").read_text(encoding="utf-8")


def test_a_resumed_run_ends_bit_equal(sounds: Path, weights: Path, tmp_path: Path) -> None:
    """The adversary's weight follows the steps done, so they must survive a resume."""
    settings = {**load_recipe("tiny_audio_gan").settings, "adversary_from": 0.0}
    common = {"settings": settings, "checkpoint_every_s": 1e-6}
    whole = trained("tiny_audio_gan", sounds, tmp_path / "whole", total_steps=4, **common)
    out = tmp_path / "parts"
    recipe = {**load_recipe("tiny_audio_gan").model_dump(), "total_steps": 4, **common}
    order = Order(Recipe.model_validate(recipe), "tiny_audio_gan", sounds, out)
    run = Run(order, lambda *_, **facts: _stop_after(run, 2, facts))
    assert run.train() is None
    parts = Run(replace(order, resume=True), lambda *_, **__: None).train()
    assert parts is not None
    name = "model.safetensors"
    assert (whole / name).read_bytes() == (parts / name).read_bytes()
    assert (whole / name).read_bytes() != (weights / name).read_bytes()


def _stop_after(run: Run, step: int, facts: dict[str, Any]) -> None:
    if facts.get("optimizer_step") == step:
        run.stop.signal_number = 15


def test_training_goes_on_from_weights_of_the_same_sounds(
    sounds: Path, weights: Path, tmp_path: Path
) -> None:
    again = trained("tiny_audio_gan", sounds, tmp_path / "again", init=weights)
    assert OneShot.from_pretrained(again).config == OneShot.from_pretrained(weights).config


def test_pictures_are_refused_in_words(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="needs sounds"):
        trained("tiny_audio_gan", pictures, tmp_path)


def test_the_judge_loads_and_answers(sounds: Path, tmp_path: Path) -> None:
    judge = AudioJudge.load(trained("tiny_audio_judge", sounds, tmp_path))
    assert judge.sounds == ("Flute", "Snare")
    assert judge.families == ("Drum Kit", "Pipe")
    assert set(judge.figures) == {"sound_accuracy", "family_accuracy"}
    guesses, _ = judge.guesses(torch.randn(3, MELS, FRAMES))
    assert guesses.shape == (3,)
    assert judge.features(torch.randn(3, MELS, FRAMES)).shape == (3, 4)
