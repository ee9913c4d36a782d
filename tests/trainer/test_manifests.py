"""`dataset check` finds each kind of unusable example and says which and why."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from trainer.contract import MANIFEST_NAME, TrainingError
from trainer.data import checking
from trainer.data.checking import check
from trainer.data.manifests import read_manifest, sha256_of, split_of


@pytest.fixture
def dataset(pictures: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    return copy


def found(folder: Path) -> dict[str, str]:
    return {problem.file: problem.message for problem in check(folder)}


def rehash(folder: Path, file: str) -> None:
    content = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    for example in content["examples"]:
        if example["file"] == file:
            example["sha256"] = sha256_of(folder / file)
    (folder / MANIFEST_NAME).write_text(json.dumps(content), encoding="utf-8")


def test_a_sound_dataset_has_no_problems(dataset: Path, texts: Path) -> None:
    assert check(dataset) == []
    assert check(texts) == []


def test_missing_changed_broken_and_duplicate_examples_are_named(dataset: Path) -> None:
    (dataset / "1.png").unlink()
    Image.new("RGB", (8, 8), "red").save(dataset / "2.png")
    (dataset / "3.png").write_bytes(b"\x89PNG not really")
    rehash(dataset, "3.png")
    shutil.copy(dataset / "4.png", dataset / "5.png")
    rehash(dataset, "5.png")
    problems = found(dataset)
    assert set(problems) == {"1.png", "2.png", "3.png", "5.png"}
    assert "missing" in problems["1.png"]
    assert "changed" in problems["2.png"]
    assert "decoded" in problems["3.png"]
    assert "4.png" in problems["5.png"]


def test_oversized_examples_are_named(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MAX_PIXELS", 100)
    assert "32 x 32 pixels" in found(dataset)["0.png"]
    monkeypatch.setitem(checking.MAX_BYTES, "image", 10)
    assert "bytes" in found(dataset)["0.png"]


def test_a_link_out_of_the_dataset_is_refused(dataset: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    shutil.move(dataset / "0.png", outside)
    (dataset / "0.png").symlink_to(outside)
    assert "leads out" in found(dataset)["0.png"]


def test_a_text_that_is_not_utf8_is_named(texts: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(texts, copy)
    (copy / "0.txt").write_bytes(b"\xff\xfe\xfa")
    rehash(copy, "0.txt")
    assert found(copy) == {"0.txt": "is not UTF-8 text"}


@pytest.mark.parametrize("file", ["../x.png", "/etc/passwd", "a\\b.png", ""])
def test_a_manifest_cannot_point_outside(dataset: Path, file: str) -> None:
    content = json.loads((dataset / MANIFEST_NAME).read_text(encoding="utf-8"))
    content["examples"][0]["file"] = file
    (dataset / MANIFEST_NAME).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"examples\.0\.file"):
        read_manifest(dataset)


def test_a_folder_without_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="dataset import"):
        read_manifest(tmp_path)


def test_the_split_is_stable_and_of_the_asked_size() -> None:
    held = [key for key in map(str, range(20_000)) if split_of(key, 0.05) == "held_out"]
    assert 0.045 < len(held) / 20_000 < 0.055
    assert all(split_of(key, 0.06) == "held_out" for key in held)
