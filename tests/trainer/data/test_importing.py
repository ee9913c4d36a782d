"""A plain folder of one's own files becomes a dataset that passes its own check."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from trainer.contract import DatasetManifest, TrainingError
from trainer.data.checking import Problem, check
from trainer.data.importing import Wishes, import_folder, paragraphs
from trainer.data.manifests import read_manifest


def disc(path: Path, colour: str, place: int) -> None:
    picture = Image.new("RGB", (40, 30), "white")
    ImageDraw.Draw(picture).ellipse((place, 5, place + 12, 17), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def taken(folder: Path, out: Path, **wishes: object) -> tuple[DatasetManifest, list[Problem]]:
    given = Wishes(name="mine", licence="CC-BY-4.0", **wishes)  # type: ignore[arg-type]
    return import_folder(folder, out, given, lambda done, total: None)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    disc(folder / "red_disc-1.png", "red", 2)
    disc(folder / "IMG_0042.png", "green", 8)
    disc(folder / "deep" / "a.jpg", "blue", 14)
    disc(folder / "b.webp", "black", 20)
    disc(folder / "c.png", "orange", 26)
    (folder / "deep" / "a.txt").write_text("blue disc\nround thing\n蓝圆\n", encoding="utf-8")
    rows = "file,caption,language\nb.webp,black disc,\nb.webp,黑圆,\nc.png,disque orange,fr\n"
    (folder / "captions.csv").write_text(rows, encoding="utf-8")
    return folder


def test_captions_come_from_beside_from_the_table_or_from_the_name(
    album: Path, tmp_path: Path
) -> None:
    manifest, left_out = taken(album, tmp_path / "out")
    assert left_out == []
    assert {example.file: example.captions for example in manifest.examples} == {
        "IMG_0042.png": {},
        "b.webp": {"en": ["black disc"], "zh": ["黑圆"]},
        "c.png": {"fr": ["disque orange"]},
        "deep/a.jpg": {"en": ["blue disc", "round thing"], "zh": ["蓝圆"]},
        "red_disc-1.png": {"en": ["red disc"]},
    }
    assert read_manifest(tmp_path / "out") == manifest
    assert {example.split for example in manifest.examples} == {"train", "held_out"}
    problems = check(tmp_path / "out")
    assert [(p.file, p.kind, p.severity) for p in problems] == [
        ("IMG_0042.png", "caption", "warning")
    ]


def test_what_cannot_be_used_is_left_out_and_named(album: Path, tmp_path: Path) -> None:
    (album / "broken.png").write_bytes(b"\x89PNG no")
    (album / "copy.png").write_bytes((album / "c.png").read_bytes())
    (album / "notes.pdf").write_bytes(b"%PDF")
    (album / "long.png").write_bytes((album / "b.webp").read_bytes() + b" ")
    (album / "long.txt").write_text("x" * 501, encoding="utf-8")
    manifest, left_out = taken(album, tmp_path / "out")
    assert {problem.file: problem.kind for problem in left_out} == {
        "broken.png": "broken",
        "copy.png": "duplicate",
        "long.png": "caption",
    }
    assert len(manifest.examples) == 5


def test_texts_are_cut_at_paragraphs_and_nothing_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    body = "\n\n".join(f"Paragraph {number}. " + "word " * 150 for number in range(20))
    (folder / "book.txt").write_text(body, encoding="utf-8")
    (folder / "note.md").write_text("A short note.", encoding="utf-8")
    manifest, _ = taken(folder, tmp_path / "out")
    assert manifest.modality == "text"
    files = [example.file for example in manifest.examples]
    assert files == [*(f"book-{number:04d}.txt" for number in range(1, 5)), "note.md"]
    read = [(tmp_path / "out" / file).read_text(encoding="utf-8").strip() for file in files[:-1]]
    assert "\n\n".join(read).split() == body.split()
    assert all(len(piece) <= 4000 and piece.startswith("Paragraph") for piece in read)
    assert check(tmp_path / "out") == []


@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 35])
def test_pieces_keep_their_bound_without_any_paragraph(length: int) -> None:
    pieces = list(paragraphs("x" * length, 10))
    assert "".join(pieces) == "x" * length
    assert all(0 < len(piece) <= 10 for piece in pieces)


def test_sounds_are_taken_with_their_captions(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("bell", "drum"):
        with wave.open(str(folder / f"{name}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(name.encode() * 400)
    (folder / "bell.txt").write_text("a small bell", encoding="utf-8")
    (folder / "hum.wav").write_bytes(b"RIFF....WAVE")
    manifest, left_out = taken(folder, tmp_path / "out")
    assert manifest.modality == "audio"
    assert {e.file: e.captions for e in manifest.examples} == {
        "bell.wav": {"en": ["a small bell"]},
        "drum.wav": {"en": ["drum"]},
    }
    assert [problem.file for problem in left_out] == ["hum.wav"]


def test_the_same_file_is_held_out_in_any_later_import(album: Path, tmp_path: Path) -> None:
    first, _ = taken(album, tmp_path / "a", held_out=0.4)
    disc(album / "more.png", "purple", 22)
    second, _ = taken(album, tmp_path / "b", held_out=0.4)
    again = {example.file: example.split for example in second.examples}
    assert {e.file: e.split for e in first.examples}.items() <= again.items()


def test_mistakes_are_said(album: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TrainingError, match="no folder"):
        taken(tmp_path / "nowhere", out)
    with pytest.raises(TrainingError, match="already holds"):
        taken(album, album)
    with pytest.raises(TrainingError, match="nothing that can be read as audio"):
        taken(album, out, modality="audio")
    (album / "captions.csv").write_text("file,caption\nd.png,x\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"line 2.*d\.png"):
        taken(album, out)
    (album / "captions.csv").write_text("name;text\n", encoding="utf-8")
    with pytest.raises(TrainingError, match="columns file and caption"):
        taken(album, out)
