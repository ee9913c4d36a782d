"""The measures of sounds: the ear for pitch is right, and a whole examination comes home."""

from pathlib import Path

import numpy as np
import pytest
import torch

from generators.nn.mel import FRAMES, MELS
from generators.nn.one_shot import OneShot, OneShotConfig
from generators.registry import ModelEntry
from generators.settings import GeneratorSettings
from generators.weights import WeightsManifest, write_manifest
from trainer.contract import Example
from trainer.data import audio
from trainer.evaluation import sounds as measures
from trainer.evaluation.audio_judge import AudioJudge, JudgeNet
from trainer.evaluation.pitch import cents_apart, pitch_of
from trainer.evaluation.subject import Subject


@pytest.mark.parametrize("pitch", [36, 52.5, 60, 81])
def test_the_pitch_of_a_tone_with_harmonics_is_heard(pitch: float) -> None:
    time = np.arange(16_000) / 16_000
    hz = 440 * 2 ** ((pitch - 69) / 12)
    tone = sum(np.sin(2 * np.pi * hz * k * time + k) / k for k in range(1, 6))
    assert abs(cents_apart(pitch_of(tone), pitch)) < 10


def test_silence_has_no_pitch() -> None:
    assert pitch_of(np.zeros(16_000)) == 0
    assert cents_apart(0.0, 60) > 1e6


def test_spectral_distance_is_zero_for_the_same_and_grows() -> None:
    real = torch.rand(2, MELS, FRAMES)
    near, far, hold_s = real + 0.01, real + 0.1, torch.tensor([0.5, 1.0])
    assert measures.spectral_distance(real, real, hold_s) == 0
    apart = measures.spectral_distance(far, real, hold_s)
    assert apart == pytest.approx(10 * measures.spectral_distance(near, real, hold_s), rel=1e-3)
    far[..., 70:] += 5  # after both notes have ended
    assert measures.spectral_distance(far, real, hold_s) == pytest.approx(apart)


def test_a_held_out_note_is_asked_for_as_a_member_would() -> None:
    violin = Example(file="x", sha256="0" * 64, labels={"sound": "Violin", "pitch": 57})
    snare = Example(
        file="x",
        sha256="0" * 64,
        captions={"en": ["acoustic snare", "drum", "jazz kit"]},
        labels={"sound": "Acoustic Snare", "pitch": 0, "kit": 6},
    )
    assert measures.note_prompt(violin) == "violin A3"
    assert measures.note_prompt(snare) == "acoustic snare, jazz kit"


def test_an_examination_brings_every_figure_and_its_sheets(sounds: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    known = audio.load(sounds, "train").sounds
    config = OneShotConfig(known, 2, (8, 8, 8, 8), 8, 2, word_width=8, word_buckets=64)
    OneShot(config).save_pretrained(tmp_path)
    write_manifest(tmp_path, WeightsManifest(generator="audio_gan"))
    entry = ModelEntry(name="tiny", generator="audio_gan", weights=str(tmp_path))
    subject = Subject.load(entry, GeneratorSettings(preload=False, device="cpu"))
    names = tuple(sound.name for sound in known)
    net = JudgeNet(len(names), 2, (4, 4, 4, 4), 4).eval()
    judge = AudioJudge(net, names, ("Drum Kit", "Pipe"), {})
    plan, made = measures.Plan(notes=4, groups=1, words=2), []
    results = measures.measure(subject, sounds, judge, plan, made.append)
    found = {figure.name: figure for figure in results.figures}
    assert {
        "sound_accuracy", "family_accuracy", "drum_accuracy", "in_tune", "log_spectral_distance",
        "frechet_distance", "nearest_training_clip", "words_recognised", "diversity",
    } <= found.keys()  # fmt: skip
    assert all(figure.reference is not None for figure in results.figures)
    assert set(results.sheets) == {"samples.png", "nearest.png"}
    assert sum(made) == 2 + 4 + 2  # two held-out notes, one group of seeds, two phrases
