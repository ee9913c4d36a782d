"""The sounds that ship are what was asked for, judged by ears that are no nets of ours."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from generators import catalog
from generators.contract import Generated, GenerateRequest
from generators.registry import starter_entries
from generators.runtime import make_runtime
from generators.settings import GeneratorSettings
from generators.specs.audio_gan import AudioGanParams
from generators.weights import STARTER
from trainer.evaluation.pitch import cents_apart, pitch_of

Play = Callable[..., Generated]


@pytest.fixture(scope="module")
def play() -> Play:
    [entry] = [entry for entry in starter_entries() if entry.name == "audio_gan"]
    runtime = make_runtime(GeneratorSettings(preload=False, device="cpu"))
    model = catalog.load("audio_gan").load(entry, runtime)

    def made(prompt: str, seed: int = 0, count: int = 1, seconds: float = 0.6) -> Generated:
        params = AudioGanParams(prompt=prompt, duration_s=seconds)
        [answer] = model.generate([GenerateRequest("a", params, seed, count)], lambda step: set())
        return answer

    return made


def samples(answer: Generated) -> np.ndarray:
    return soundfile.read(io.BytesIO(answer.items[0].data))[0]


def told(answer: Generated, what: str) -> list[Any]:
    return [item.facts.get(what) for item in answer.items if item.role == "item"]


@pytest.mark.parametrize(
    ("prompt", "pitch"),
    [("violin A4", 69), ("小提琴 A4", 69), ("trumpet C5", 72), ("grand piano C4", 60),
     ("flute G5", 79), ("acoustic bass E2", 40), ("clarinet Bb3", 58)],
)  # fmt: skip
def test_notes_are_in_tune(play: Play, prompt: str, pitch: int) -> None:
    assert abs(cents_apart(pitch_of(samples(play(prompt))), pitch)) < 50


def test_a_snare_is_a_burst_of_noise(play: Play) -> None:
    hit = samples(play("acoustic snare"))
    early, late = np.abs(hit[:1600]).mean(), np.abs(hit[6400:]).mean()
    assert early > 5 * late


@pytest.mark.parametrize(
    ("prompt", "sound"),
    [("violins", "Violin"), ("trmpet", "Trumpet"), ("a harpsicord", "Harpsichord"),
     ("小号", "Trumpet"), ("大提琴", "Cello"), ("cowbell", "Cowbell"), ("军鼓", "Snare")],
)  # fmt: skip
def test_plurals_slips_and_chinese_find_the_sound(play: Play, prompt: str, sound: str) -> None:
    assert sound in told(play(prompt, seconds=0.2), "sound")[0]


def test_a_family_is_a_choice_of_its_members(play: Play) -> None:
    guitars = told(play("guitar", count=4, seconds=0.2), "sound")
    guitars += told(play("guitar", seed=9, count=4, seconds=0.2), "sound")
    assert len(set(guitars)) >= 3
    assert all("Guitar" in name for name in guitars)


def test_the_soundfonts_notice_and_samples_travel_along() -> None:
    folder = STARTER / "audio_gan"
    assert "Frank Wen" in (folder / "NOTICE").read_text(encoding="utf-8")
    assert (folder / "samples.png").is_file()
    assert len(list((folder / "samples").glob("*.ogg"))) >= 6
