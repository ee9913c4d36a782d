"""Any sound file becomes a picture and a note, with labels or without."""

import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from generators.nn.mel import FRAMES, HOP, MELS
from trainer.contract import DatasetManifest, Example, TrainingError
from trainer.data import audio
from trainer.data.manifests import sha256_of, write_manifest
from trainer.evaluation.pitch import pitch_of


def tone(hz: float, rate: int, seconds: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def test_a_split_is_loaded_with_its_notes(sounds: Path) -> None:
    clips = audio.load(sounds, "train")
    assert len(clips) == 10
    assert clips.pictures.shape == (10, MELS, FRAMES)
    assert [sound.name for sound in clips.sounds] == ["Flute", "Snare"]
    assert clips.notes.kit.tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0, 0]
    pictures, notes = clips.batch([3, 1])
    assert pictures.dtype == torch.float32
    assert notes.pitch.tolist() == [0, 61]


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 48_000])
def test_any_sample_rate_keeps_the_pitch(rate: int) -> None:
    clip = audio.resample(tone(440, rate, 1.0), rate)
    assert len(clip) == 16_000
    assert pitch_of(clip) == pytest.approx(69, abs=0.05)
    assert np.abs(clip[100:-100]).max() == pytest.approx(0.5, abs=0.02)


def test_a_members_own_sound_needs_no_labels(tmp_path: Path) -> None:
    stereo = np.stack([tone(300, 44_100, 3.0)] * 2, 1)
    soundfile.write(tmp_path / "ding.wav", stereo, 44_100)
    example = Example(
        file="ding.wav", sha256=sha256_of(tmp_path / "ding.wav"), captions={"en": ["door bell"]}
    )
    manifest = DatasetManifest(name="own", modality="audio", licence="CC0", examples=[example])
    write_manifest(tmp_path, manifest)
    clips = audio.load(tmp_path, "train")
    assert audio.decode(tmp_path, example).shape == (FRAMES * HOP,)
    assert [(sound.name, sound.high) for sound in clips.sounds] == [("door bell", 0)]
    assert clips.notes.pitch.tolist() == [0]


def test_a_broken_file_is_named(sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    example = Example(file="x.wav", sha256=sha256_of(tmp_path / "x.wav"))
    with pytest.raises(TrainingError, match=r"x\.wav"):
        audio.decode(tmp_path, example)


def test_words_are_drawn_from_every_language_and_slips_are_small() -> None:
    captions = {"en": ["acoustic snare", "drum"], "zh": ["军鼓"]}
    example = Example(file="x", sha256="0" * 64, captions=captions)
    rng = random.Random(0)
    drawn = {audio.draw_words(example, rng) for _ in range(300)}
    assert {"acoustic snare", "drum", "军鼓"} <= drawn
    assert any(words.startswith("a ") for words in drawn)
    for _ in range(50):
        assert abs(len(audio.slip("trumpet", rng)) - 7) <= 1
