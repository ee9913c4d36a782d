"""The player does what words say: sound, note, loudness and length, and nothing at random."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from generators.contract import BadRequest, Generated, GenerateRequest, Step
from generators.models.audio_gan import Model
from generators.registry import ModelEntry
from generators.specs.audio_gan import AudioGanParams
from generators.weights import WeightsError


@pytest.fixture(scope="module")
def model(audio_gan_folder: Path, entry_for: Callable[..., ModelEntry], runtime: Any) -> Any:
    """The tiny player, with a listener that knows a flute from a snare for sure."""
    loaded = Model.load(entry_for(audio_gan_folder), runtime)
    with torch.no_grad():
        for parameter in loaded.net.listener.sounds.parameters():
            parameter.zero_()
    loaded.hear = lambda index: _prefer(loaded, index)
    return loaded


def _prefer(model: Any, index: int | None) -> None:
    with torch.no_grad():
        model.net.listener.sounds.bias.zero_()
        if index is not None:
            model.net.listener.sounds.bias[index] = 20.0


def play(model: Any, prompt: str, seed: int = 0, count: int = 1, **params: Any) -> Any:
    request = GenerateRequest("a", AudioGanParams(prompt=prompt, **params), seed, count)
    [answer] = model.generate([request], lambda step: frozenset())
    return answer


def facts(answer: Generated) -> Iterator[dict[str, Any]]:
    return (dict(item.facts) for item in answer.items if item.role == "item")


def samples(answer: Generated) -> np.ndarray:
    with wave.open(io.BytesIO(answer.items[0].data)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_the_note_asked_for_is_the_note_played(model: Any) -> None:
    model.hear(0)
    assert next(facts(play(model, "flute A4", duration_s=0.3)))["note"] == "A4"
    folded = next(facts(play(model, "flute C9", duration_s=0.3)))["note"]
    assert folded == "C6", "the nearest octave the sound has"


def test_registers_are_apart_and_suit_the_sound(model: Any) -> None:
    model.hear(0)
    low, middle, high = (
        [model._pitch(0, model_wish, chance) for chance in (0.0, 0.5, 0.99)]
        for model_wish in (wish("low flute"), wish("flute"), wish("high flute"))
    )
    assert max(low) < 60 <= min(middle) <= max(middle) <= 84 < min(high)
    assert max(high) <= 89, "no higher than it was trained on"


def wish(prompt: str) -> Any:
    from generators.notes import read

    return read(prompt)


def test_a_drum_has_no_note(model: Any) -> None:
    model.hear(1)
    told = next(facts(play(model, "snare", duration_s=0.3)))
    assert told["sound"] == "Snare"
    assert "note" not in told


def test_the_length_is_the_one_asked_for_and_ends_without_a_click(model: Any) -> None:
    model.hear(0)
    for seconds in (0.2, 0.75, 2.0):
        answer = play(model, "flute", duration_s=seconds)
        clip = samples(answer)
        assert len(clip) == round(16_000 * seconds)
        assert abs(clip[-1]) < 0.002
        assert answer.params["duration_s"] == seconds
    assert len(samples(play(model, "short flute"))) < len(samples(play(model, "long flute")))


def test_what_these_weights_cannot_hold_is_declined_in_both_languages(model: Any) -> None:
    answer = play(model, "flute", duration_s=3.0)
    assert isinstance(answer, BadRequest)
    assert "2 seconds" in answer.en
    assert "2 秒" in answer.zh
    assert isinstance(play(model, "🫠🫠"), BadRequest)


def test_loudness_is_heard(model: Any) -> None:
    model.hear(0)
    soft, plain, loud = (
        np.abs(samples(play(model, prompt, duration_s=0.3))).max()
        for prompt in ("soft flute", "flute", "loud flute")
    )
    assert soft < 0.5 < plain < 0.8 < loud


def test_seeds_choose_among_what_the_words_may_mean(model: Any) -> None:
    model.hear(None)  # all three sounds are equally likely
    answers = play(model, "something", seed=3, count=4, duration_s=0.2)
    more = play(model, "something", seed=7, count=4, duration_s=0.2)
    assert len({told["sound"] for told in (*facts(answers), *facts(more))}) > 1
    model.hear(2)
    assert {told["sound"] for told in facts(play(model, "viola", count=4, duration_s=0.2))} == {
        "Viola"
    }


def test_a_bare_note_is_played_by_a_sound_that_has_notes(model: Any) -> None:
    model.hear(1)  # would be the snare, if words were there to be heard
    told = list(facts(play(model, "C5", count=4, duration_s=0.2)))
    assert {one["note"] for one in told} == {"C5"}


def test_every_length_reports_its_own_steps(model: Any) -> None:
    steps: list[Step] = []
    requests = [
        GenerateRequest(str(seconds), AudioGanParams(prompt="x", duration_s=seconds), 1)
        for seconds in (0.3, 1.9)
    ]
    model.generate(requests, lambda step: steps.append(step) or frozenset())
    assert [step.inference_step for step in steps] == list(range(1, 14))
    assert {step.total_steps for step in steps} == {13}


def test_a_folder_without_a_net_is_refused_in_words(
    tmp_path: Path, entry_for: Callable[..., ModelEntry], runtime: Any
) -> None:
    with pytest.raises(WeightsError, match="no one-shot player"):
        Model.load(entry_for(tmp_path, "audio_gan"), runtime)
