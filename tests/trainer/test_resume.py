"""The training child as a real process: killed without warning, resumed, asked in bad words."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STEPS = 24

RECIPE = """
objective = "language_model"
summary = "for the kill test"
total_steps = %d
batch_size = 4
precision = "fp32"
checkpoint_every_s = 0.001

[settings]
layers = 1
width = 32
heads = 2
context = 24
vocab_size = 300
dropout = 0.1
"""


def child(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    out, err = process.communicate(timeout=90)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "kill.toml"
    path.write_text(RECIPE % STEPS, encoding="utf-8")
    return path


@pytest.mark.kill
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(
    recipe: Path, texts: Path, tmp_path: Path
) -> None:
    command = ["train", recipe, "--data", texts, "--threads", "1", "--out"]
    whole = child(*command, tmp_path / "a")
    killed = child(*command, tmp_path / "b")
    assert killed.stdout is not None
    for line in killed.stdout:
        event = json.loads(line)
        if event["event"] == "checkpoint" and "step-00000009" in event["path"]:
            killed.kill()
            break
    assert finish(whole)[0] == 0
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    code, events, err = finish(child(*command, tmp_path / "b", "--resume"))
    assert code == 0, err
    first = next(event for event in events if event["event"] == "progress")
    assert 9 < first["optimizer_step"] < STEPS
    for name in ("module", "average", "optimizer-0", "optimizer-1"):
        last = f"checkpoints/step-{STEPS:08d}/{name}.safetensors"
        assert (tmp_path / "a" / last).read_bytes() == (tmp_path / "b" / last).read_bytes(), name
    weights = "weights/model.safetensors"
    assert (tmp_path / "a" / weights).read_bytes() == (tmp_path / "b" / weights).read_bytes()
    rows = [(tmp_path / run / "metrics.csv").read_text().splitlines() for run in "ab"]
    assert len(rows[0]) == len(rows[1])


def test_a_term_signal_leaves_a_checkpoint(recipe: Path, texts: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.toml"
    long.write_text((RECIPE % 100_000).replace("0.001", "900"), encoding="utf-8")
    process = child("train", long, "--data", texts, "--out", tmp_path / "out")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "progress"
    process.terminate()
    code, events, _ = finish(process)
    assert code == 128 + signal.SIGTERM
    assert [event["event"] for event in events[-2:]] == ["checkpoint", "stopped"]
    assert Path(events[-2]["path"], "state.json").is_file()


def test_check_names_every_problem_and_fails(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(pictures, folder)
    (folder / "1.png").unlink()
    (folder / "2.png").write_bytes(b"x")
    code, events, _ = finish(child("dataset", "check", folder))
    assert code == 2
    said = [event for event in events if event["event"] != "progress"]
    assert [event["event"] for event in said] == ["problem"] * 3 + ["error"]
    assert said[0] == {
        "event": "problem",
        "file": "1.png",
        "kind": "missing",
        "severity": "error",
        "message": "1.png: is missing",
    }
    code, events, _ = finish(child("dataset", "check", pictures))
    assert code == 0
    done = {"event": "done", "dataset": str(pictures), "examples": 12, "warnings": 0}
    assert events[-1] == done


def test_mistakes_are_one_sentence_and_code_2(recipe: Path, texts: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text((RECIPE % 2).replace("width = 32", "width = 3"), encoding="utf-8")
    out = tmp_path / "out"
    children = {
        "no recipe 'nonsense'": child("train", "nonsense", "--data", texts, "--out", out),
        "not a dataset": child("train", recipe, "--data", tmp_path, "--out", out),
        "settings.width": child("train", broken, "--data", texts, "--out", out),
    }
    for words, process in children.items():
        code, events, err = finish(process)
        assert code == 2
        assert [event["event"] for event in events] == ["error"]
        assert words in events[0]["message"]
        assert "Traceback" not in err


def test_a_full_disk_is_said_and_nothing_half_written_stays(
    recipe: Path, texts: Path, tmp_path: Path
) -> None:
    """No file may grow past 20 kB: what a full disk does to a checkpoint."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    code, events, err = finish(
        child("train", recipe, "--data", texts, "--out", tmp_path / "out", preexec_fn=small_files)
    )
    assert code == 2
    assert "checkpoint could not be written" in events[-1]["message"]
    assert "Traceback" not in err
    assert list((tmp_path / "out" / "checkpoints").iterdir()) == []
