"""A host's own folder of texts by commands: imported, checked, trained on, stopped, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.contract import read_progress

ROOT = Path(__file__).parent.parent.parent
RECIPE = """
objective = "language_model"
summary = "a small one of our own"
total_steps = 100000
batch_size = 2
precision = "fp32"

[settings]
layers = 1
width = 16
heads = 2
context = 16
vocab_size = 300
"""


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "bot", *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(*arguments: str, cwd: Path) -> str:
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    return out + err


@pytest.mark.timeout(300)
def test_from_a_folder_to_weights_with_an_interruption(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for number in range(8):
        text = f"note {number}: the tide table of harbour {number * 7} is wrong again"
        (tmp_path / "notes" / f"{number}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "mine.toml").write_text(RECIPE, encoding="utf-8")
    said = finished("dataset", "import", "notes", "--out", "data", "--licence", "CC0", cwd=tmp_path)
    assert "examples 8" in said
    checked = finished("dataset", "check", "data", "--strict", "--json", cwd=tmp_path)
    assert json.loads(checked.splitlines()[-1])["event"] == "done"

    command = ["train", "mine.toml", "--data", "data", "--out", "run", "--threads", "1", "--json"]
    running = start(*command, cwd=tmp_path)
    assert running.stdout is not None
    assert json.loads(running.stdout.readline())["event"] == "progress"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=100)
    assert running.returncode == 128 + signal.SIGINT
    assert "Stopped after step" in err
    assert "--resume" in err
    assert "Traceback" not in err
    stopped = read_progress(tmp_path / "run")
    assert stopped is not None
    assert stopped.state == "stopped"

    end = stopped.step + 2
    out = finished(*command, "--resume", "--max-steps", str(end), cwd=tmp_path)
    events: list[dict[str, Any]] = [
        json.loads(line) for line in out.splitlines() if line.startswith("{")
    ]
    first = next(event for event in events if event["event"] == "progress")
    assert first["optimizer_step"] == stopped.step + 1
    assert events[-1]["event"] == "done"
    done = read_progress(tmp_path / "run")
    assert done is not None
    assert (done.state, done.step, done.recipe) == ("finished", end, "mine")
    assert done.figures["perplexity"] > 1
    assert (tmp_path / "run" / done.sample).is_file()
    assert any((tmp_path / "run" / "tensorboard").iterdir()), "written where it is installed"
