"""The same picture saved otherwise is found; another picture, though similar, is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from trainer.data.likeness import Likeness, alike, fingerprint


def scene(colour: str = "red", x: int = 30) -> Image.Image:
    picture = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((x, 20, x + 60, 80), fill=colour)
    draw.rectangle((20, 90, 110, 110), fill="black")
    return picture


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.png"
    scene().save(path)
    return path


def test_resized_recompressed_and_transparent_copies_are_the_same(
    original: Path, tmp_path: Path
) -> None:
    scene().save(tmp_path / "a.jpg", quality=75)
    scene().resize((77, 77), Image.Resampling.LANCZOS).save(tmp_path / "b.webp", quality=80)
    glass = scene().convert("RGBA")
    ink = scene().convert("L").point(lambda value: 0 if value == 255 else 255)
    glass.putalpha(ink)
    glass.save(tmp_path / "c.png")
    for copy in ("a.jpg", "b.webp", "c.png"):
        assert alike(fingerprint(original), fingerprint(tmp_path / copy)), copy


def test_another_colour_or_place_is_another_picture(original: Path, tmp_path: Path) -> None:
    for number, other in enumerate((scene("blue"), scene("darkred"), scene(x=44))):
        path = tmp_path / f"{number}.png"
        other.save(path)
        assert not alike(fingerprint(original), fingerprint(path)), number


def test_the_first_of_the_same_kind_is_named(original: Path, tmp_path: Path) -> None:
    scene().save(tmp_path / "again.jpg", quality=70)
    seen = Likeness()
    assert seen.add("first", fingerprint(original)) is None
    assert seen.add("second", fingerprint(tmp_path / "again.jpg")) == "first"
