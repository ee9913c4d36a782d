"""The command line as a person at a shell meets it: real processes, exit codes, no tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def atelier(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m bot ...` in a folder of its own, without our environment's settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ATELIER_")}
    return subprocess.run(
        [sys.executable, "-m", "bot", *arguments],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_COLOR": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    said = atelier("--help", cwd=tmp_path).stdout
    for name in ("up", "gateway", "worker", "imagine", "write", "train", "models", "db", "doctor"):
        assert f" {name} " in said
    for name in ("sound", "animate", "upscale", "blend", "denoise"):
        assert f" {name} " in said


def test_flags_come_from_the_schema_with_bounds_and_meaning(tmp_path: Path) -> None:
    said = atelier("imagine", "--help", cwd=tmp_path).stdout
    assert "--guidance-scale" in said
    assert "How strictly the prompt is followed" in said
    refused = atelier("imagine", "x", "--num-inference-steps", "0", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--num-inference-steps" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    done = atelier("models", "list", cwd=tmp_path, ATELIER_DEVICE="toaster")
    assert done.returncode == 1
    assert "ATELIER_DEVICE" in done.stderr
    assert "Traceback" not in done.stderr


def test_models_can_be_added_listed_made_default_and_removed(tmp_path: Path) -> None:
    """Generator and licence are read off the weights."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    (tmp_path / "mine" / "model.safetensors").write_bytes(b"")
    (tmp_path / "mine" / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "style").mkdir()
    added = atelier(
        *("models", "add", "mine", "mine", "--default", "--dtype", "bfloat16"),
        *("--adapter", "style=style"),
        cwd=tmp_path,
    )
    assert added.returncode == 0, added.stderr
    assert "mine, mine+style (Qwen2ForCausalLM, licence mit)" in added.stdout
    listed = json.loads(atelier("models", "list", "--json", cwd=tmp_path).stdout)
    entries = {entry["name"]: entry for entry in listed}
    mine = entries["mine"]
    assert (mine["generator"], mine["licence"], mine["dtype"]) == ("gpt2", "mit", "bfloat16")
    assert mine["default"]
    assert entries["mine+style"]["adapter"]["weights"] == str(tmp_path / "style")
    assert atelier("models", "remove", "mine", cwd=tmp_path).returncode == 0
    names = {
        e["name"] for e in json.loads(atelier("models", "list", "--json", cwd=tmp_path).stdout)
    }
    assert not {"mine", "mine+style"} & names
    assert {"diffusion", "gpt2"} <= names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("owner/turbo", "--generator", "oracle"), "there is no generator 'oracle'"),
        (("nowhere",), "no folder nowhere"),
        (("empty",), "no class that could be told"),
        (("empty", "--generator", "gpt2", "--adapter", "x"), "write style=folder"),
        (("owner/turbo", "--generator", "diffusion"), "hub"),
    ],
)
def test_what_cannot_be_offered_is_refused_and_nothing_is_left(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    refused = atelier("models", "add", "x", *arguments, cwd=tmp_path, **offline)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list(tmp_path.rglob("models.toml"))


def test_a_model_that_ships_is_checked_by_making_something(tmp_path: Path) -> None:
    checked = atelier("models", "check", "gpt2", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "gpt2 works: text of" in checked.stdout
    assert "float32" in checked.stdout


def test_database_is_made_and_up_to_date(tmp_path: Path) -> None:
    assert "behind" in atelier("db", "status", cwd=tmp_path).stdout
    assert "up to date" in atelier("db", "upgrade", cwd=tmp_path).stdout
    assert "current" in atelier("db", "status", cwd=tmp_path).stdout


def test_doctor_checks_everything_and_names_remedies(tmp_path: Path) -> None:
    done = atelier("doctor", "--json", cwd=tmp_path, ATELIER_WEB_BIND="127.0.0.1:0")
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, findings
    assert {"data folder", "database", "device", "ffmpeg", "models", "discord"} <= set(findings)
    assert all(f["remedy"] for f in findings.values() if f["mark"] == "bad")


def test_doctor_says_what_is_wrong_with_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    done = atelier("doctor", "--json", cwd=tmp_path, ATELIER_DATA_DIR="file/data")
    assert done.returncode == 1
    folder = next(f for f in json.loads(done.stdout) if f["name"] == "data folder")
    assert folder["mark"] == "bad"
    assert "ATELIER_DATA_DIR" in folder["remedy"]


@pytest.mark.parametrize("prompt", ["", "x" * 5000])
def test_bad_prompt_is_one_sentence_and_writes_nothing(tmp_path: Path, prompt: str) -> None:
    done = atelier("imagine", prompt, "--out", "x.png", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "prompt" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("imagine", "x", "--strength", "0.5"), 2, "give --image too"),
        (("imagine", "x", "--image", "none.png"), 2, "'none.png' does not exist"),
        (("imagine", "x", "--model", "nobody"), 1, "there is no model 'nobody'"),
        (("upscale", "picture.png", "--scale", "1"), 2, "--scale"),
        (("upscale", "picture.png", "--model", "gpt2"), 1, "gpt2 cannot enlarge a picture"),
        (("blend", "picture.png"), 2, "second"),
    ],
)
def test_what_cannot_be_made_is_said_before_anything_is_loaded(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "picture.png").write_bytes(b"not looked at yet")
    done = atelier(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
