"""What a host may set, how it travels to child processes, and how log lines look."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from generators import processes
from generators.settings import PREFIX, GeneratorSettings
from generators.worker.process import child_environment

HOUSE = Path(__file__).parents[2]


def test_everything_has_a_default_under_one_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = GeneratorSettings(_env_file=None)
    assert settings.artifacts == "data/artifacts"
    assert settings.models_path == Path("data/models.toml")


def test_names_of_other_rooms_are_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "secret")
    monkeypatch.setenv("ATELIER_DEVICE", "")  # empty is unset
    assert GeneratorSettings(_env_file=None).device == "auto"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE", "toaster"),
        ("DTYPE", "int3"),
        ("THREADS", "-1"),
        ("HEARTBEAT_S", "0"),
        ("MAX_STRIKES", "0"),
        ("BATCH_WINDOW_MS", "soon"),
    ],
)
def test_values_out_of_range_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ValidationError, match=name.lower()):
        GeneratorSettings(_env_file=None)


def test_a_child_reads_exactly_our_settings_and_none_of_our_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATELIER_DISCORD_TOKEN", "secret")
    monkeypatch.setenv("ATELIER_THREADS", "7")
    ours = GeneratorSettings(
        data_dir=tmp_path, preload=False, threads=2, heartbeat_s=1.5, _env_file=None
    )
    environment = child_environment(ours)
    assert "secret" not in environment.values()
    assert environment["GOMP_SPINCOUNT"] == "10000"
    for name in list(environment):
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, environment[name])
    assert GeneratorSettings(_env_file=None) == ours


def test_a_module_is_run_by_name_or_by_path(tmp_path: Path) -> None:
    assert processes.module_command("a.b") == [sys.executable, "-m", "a.b"]
    path = tmp_path / "x.py"
    assert processes.module_command(str(path)) == [sys.executable, str(path)]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_lines_carry_what_is_bound_to_them(log_format: str) -> None:
    script = (
        "import logging, structlog\n"
        "from generators import logs\n"
        f"logs.configure({log_format!r}, 'info', process='worker')\n"
        "with logs.bound(job_id='j1', community='c1'):\n"
        "    structlog.get_logger('x').info('it happened', count=3)\n"
        "    logging.getLogger('library').warning('said %s', 'so')\n"
        "structlog.get_logger('x').debug('too quiet')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, check=True
    )
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    if log_format == "json":
        first, second = map(json.loads, lines)
        assert (first["event"], first["count"], first["job_id"]) == ("it happened", 3, "j1")
        assert (second["event"], second["community"]) == ("said so", "c1")
        assert first["process"] == second["process"] == "worker"
        assert first["level"] == logging.getLevelName(logging.INFO).lower()
    else:
        assert "it happened" in lines[0]
        assert "j1" in lines[0]
