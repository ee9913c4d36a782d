"""`atelier imagine` and its kin with the weights that ship: real models, real files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent.parent


def atelier(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m bot ...`; must succeed."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")}
    done = subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_same_seed_gives_the_same_file_and_receipt_in_another_process(tmp_path: Path) -> None:
    receipts = [
        json.loads(
            atelier(
                *("imagine", "red heart", "--seed", "7", "--count", "1"),
                *("--num-inference-steps", "4", "--out", name, "--json"),
                cwd=tmp_path,
            ).stdout
        )
        for name in ("first.png", "second.png")
    ]
    first, second = ((tmp_path / n).read_bytes() for n in ("first.png", "second.png"))
    assert first == second
    times = {"gpu_ms"}
    assert {k: v for k, v in receipts[0].items() if k not in times} == {
        k: v for k, v in receipts[1].items() if k not in times
    }
    assert receipts[0]["seed"] == 7
    assert len(receipts[0]["weights_hash"]) == 16


def test_sheet_of_four_says_where_it_comes_from_but_not_the_prompt(tmp_path: Path) -> None:
    atelier(
        *("imagine", "red heart", "--seed", "7", "--num-inference-steps", "2", "--out", "s.png"),
        cwd=tmp_path,
    )
    with Image.open(tmp_path / "s.png") as sheet:
        assert min(sheet.size) >= 128  # two by two pictures of 64 pixels
        assert sheet.info["Software"].startswith("Atelier")
        assert "seed" in {key.lower() for key in sheet.info}
        assert "heart" not in str(sheet.info)


def test_write_prints_a_text_and_repeats_it(tmp_path: Path) -> None:
    said = [
        atelier("write", "dragon", "--seed", "3", "--max-new-tokens", "12", cwd=tmp_path).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert said[0].startswith("dragon (")
    assert len(said[0].strip()) > len("dragon (noun)")


def test_chinese_prompt_is_declined_in_words_by_the_english_dictionary(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bot", "write", "龙", "--out", "x.txt"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.txt").exists()


def test_a_picture_is_made_larger_and_a_loop_comes_in_three_formats(tmp_path: Path) -> None:
    Image.new("RGB", (16, 12), (200, 0, 0)).save(tmp_path / "small.jpg")
    atelier(*("upscale", "small.jpg", "--scale", "2", "--out", "large.png"), cwd=tmp_path)
    with Image.open(tmp_path / "large.png") as large:
        assert large.size == (32, 24)
    atelier(
        *("animate", "red heart", "--seconds", "0.5", "--fps", "8", "--num-inference-steps", "2"),
        cwd=tmp_path,
    )
    with Image.open(tmp_path / "animate.gif") as loop:
        assert loop.n_frames == 4
    assert (tmp_path / "animate.mp4").read_bytes()[4:8] == b"ftyp"
    assert (tmp_path / "animate.webm").read_bytes()[:4] == b"\x1a\x45\xdf\xa3"
