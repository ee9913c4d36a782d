"""Small datasets that every test of the trainer may share, and what a machine must bring."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from trainer.contract import DatasetManifest, Example, Split
from trainer.data.manifests import sha256_of, write_manifest

COLOURS = ("red", "green", "blue", "orange", "purple", "black")


@pytest.fixture(scope="session")
def need() -> Callable[[bool, str], None]:
    """Skip with a reason where the machine lacks something; TEST_REQUIRE=all makes it a failure."""

    def check(present: bool, what: str) -> None:
        if present:
            return
        if os.environ.get("TEST_REQUIRE") == "all":
            pytest.fail(f"missing: {what}")
        pytest.skip(f"missing: {what}")

    return check


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve discs on white, 32 x 32, two of them held out, with captions in two languages."""
    folder = tmp_path_factory.mktemp("pictures")
    examples = []
    for number in range(12):
        colour = COLOURS[number % len(COLOURS)]
        picture = Image.new("RGB", (32, 32), "white")
        ImageDraw.Draw(picture).ellipse((number, 4, number + 16, 20), fill=colour)
        path = folder / f"{number}.png"
        picture.save(path)
        split: Split = "held_out" if number >= 10 else "train"
        captions = {"en": [f"{colour} disc", "disc"], "zh": ["圆"]}
        examples.append(
            Example(file=path.name, sha256=sha256_of(path), captions=captions, split=split)
        )
    manifest = DatasetManifest(name="discs", modality="image", licence="CC0-1.0", examples=examples)
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty short texts, eight of them held out, under a licence that asks for a notice."""
    folder = tmp_path_factory.mktemp("texts")
    rng = random.Random(0)
    words = ["small", "grey", "owl", "sings", "while", "seven", "boats", "sleep"]
    examples = []
    for number in range(40):
        path = folder / f"{number}.txt"
        path.write_text(" ".join(rng.choices(words, k=8)) + f" {number}.", encoding="utf-8")
        split: Split = "held_out" if number >= 32 else "train"
        examples.append(Example(file=path.name, sha256=sha256_of(path), split=split))
    manifest = DatasetManifest(
        name="owls", modality="text", licence="CC0-1.0", notice="Keep me.", examples=examples
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve short clips, two of them held out: tones of a flute and hits of a snare."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(8000) / 16_000
    rng = np.random.default_rng(0)
    examples = []
    for number in range(12):
        pitch = 0 if number % 3 == 0 else 60 + number
        hz = 440 * 2 ** ((pitch - 69) / 12)
        wave = np.sin(2 * np.pi * hz * time) if pitch else rng.normal(size=len(time))
        path = folder / f"{number}.flac"
        soundfile.write(path, 0.5 * wave * np.exp(-6 * time) / np.abs(wave).max(), 16_000)
        name, chinese = ("Flute", "长笛") if pitch else ("Snare", "军鼓")
        examples.append(
            Example(
                file=path.name,
                sha256=sha256_of(path),
                captions={"en": [name.lower(), "wind" if pitch else "drum"], "zh": [chinese]},
                labels={
                    "sound": name, "family": "Pipe" if pitch else "Drum Kit", "pitch": pitch,
                    "kit": 0 if pitch else 1, "hold_s": 0.3, "low": 60 if pitch else 0,
                    "high": 72 if pitch else 0,
                },
                split="held_out" if number in (9, 10) else "train",
            )
        )  # fmt: skip
    manifest = DatasetManifest(name="band", modality="audio", licence="CC0-1.0", examples=examples)
    write_manifest(folder, manifest)
    return folder
