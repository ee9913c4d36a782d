"""The training page, for the owner: every run in `DATA_DIR/runs`, live.

Reads what a run writes down while it goes on (`trainer.contract.RunProgress`, `metrics.csv`,
`held_out.csv`, samples); nothing is imported or asked of the training process, so a run started
anywhere shows up as soon as its folder lies here. Used by `training`.
"""

from __future__ import annotations

import csv
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.platforms.web.curves import Curve, curve
from bot.platforms.web.folders import files_in
from bot.platforms.web.rendering import figures
from trainer.contract import RunProgress, read_progress

PATTERNS: Final = ("loss.png", "samples/*")
NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
SILENT_S: Final = 300.0  # a run that says it runs but has not written for so long was killed
STATES: Final = {  # state -> what the page calls it
    "running": "run_running",
    "finished": "run_finished",
    "stopped": "run_stopped",
    "failed": "run_failed",
    "silent": "run_silent",
}
MAX_RUNS: Final = 50
MAX_CSV_BYTES: Final = 8 * 1024 * 1024
MAX_TEXT_BYTES: Final = 4000
MAX_EARLIER: Final = 12


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the page shows it. `state` is `running`, `finished`, `stopped`, `failed` or
    `silent`; `sample` is the newest sample's file and `earlier` those before it, newest first;
    `text` stands in where samples are texts. Times in seconds, `updated_at` since 1970."""

    name: str
    state: str
    recipe: str
    step: int
    total: int
    loss: float | None
    examples_per_s: float | None
    eta_s: float | None
    updated_at: float
    message: str
    figures: tuple[tuple[str, str], ...]
    sample: str
    earlier: tuple[str, ...]
    clips: tuple[str, ...]
    text: str
    plot: str
    curve: Curve | None

    @property
    def state_text(self) -> str:
        """The name of the text that tells the state."""
        return STATES[self.state]

    @property
    def fraction(self) -> float:
        """How much is done, 0 to 1."""
        return min(1.0, self.step / self.total) if self.total else 0.0


def read_runs(folder: Path, now: float | None = None) -> list[Run]:
    """All runs, those that go on first, then the latest. An unreadable one is left out."""
    moment = time.time() if now is None else now
    try:
        folders = [path for path in folder.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    found = [run for path in folders if (run := _read(path, moment)) is not None]
    found.sort(key=lambda run: (run.state != "running", -run.updated_at, run.name))
    return found[:MAX_RUNS]


def run_files(folder: Path, name: str) -> dict[str, Path]:
    """What the page may show of a run, by name; nothing for what is no run's name."""
    return files_in(folder / name, PATTERNS) if NAME.fullmatch(name) else {}


def _read(folder: Path, now: float) -> Run | None:
    progress = read_progress(folder) or _guess(folder, now)
    if progress is None:
        return None
    rows = _rows(folder / "metrics.csv")
    files = files_in(folder, PATTERNS)
    samples = [name for name in files if name.startswith("samples/")]
    pictures = _newest_first(samples, files, {".png", ".jpg", ".webp"})
    texts = _newest_first(samples, files, {".txt"})
    silent = progress.state == "running" and now - progress.updated_at > SILENT_S
    return Run(
        name=folder.name,
        state="silent" if silent else progress.state,
        recipe=progress.recipe,
        step=progress.step,
        total=progress.total,
        loss=progress.loss,
        examples_per_s=progress.examples_per_s,
        eta_s=progress.eta_s,
        updated_at=progress.updated_at,
        message=progress.message,
        figures=figures(progress.figures),
        sample=pictures[0] if pictures else "",
        earlier=tuple(pictures[1 : MAX_EARLIER + 1]),
        clips=tuple(_newest_first(samples, files, {".ogg", ".wav"})[:MAX_EARLIER]),
        text=_beginning(files[texts[0]]) if texts else "",
        plot="loss.png" if "loss.png" in files else "",
        curve=curve(_points(rows, "loss"), _held_out(folder / "held_out.csv")),
    )


def _guess(folder: Path, now: float) -> RunProgress | None:
    """The same from the metrics alone, for runs that told no progress."""
    metrics = folder / "metrics.csv"
    rows = _rows(metrics)
    if not rows:
        return None
    last, recipe = rows[-1], _json(folder / "recipe.json")
    report = _json(folder / "report.json")
    written_at = metrics.stat().st_mtime
    step, total = int(_number(last, "optimizer_step") or 0), int(recipe.get("total_steps") or 0)
    return RunProgress(
        recipe=str(report.get("recipe") or recipe.get("objective") or ""),
        state="finished" if report else "running" if now - written_at < SILENT_S else "stopped",
        step=step,
        total=max(total, step),
        loss=_number(last, "loss"),
        examples_per_s=_number(last, "examples_per_s"),
        figures={k: v for k, v in report.get("figures", {}).items() if isinstance(v, int | float)},
        updated_at=written_at,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    """A table's rows; of one longer than anybody looks at, the beginning."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file.read(MAX_CSV_BYTES).splitlines()))
    except (OSError, ValueError, csv.Error):
        return []


def _points(rows: Sequence[Mapping[str, str]], column: str) -> list[tuple[float, float]]:
    pairs = [(_number(row, "optimizer_step"), _number(row, column)) for row in rows]
    return [(step, value) for step, value in pairs if step is not None and value is not None]


def _held_out(path: Path) -> list[tuple[float, float]]:
    """The loss on examples that are not trained on, where the run measures one."""
    rows = [row for row in _rows(path) if (row.get("figure") or "").endswith("loss")]
    first = rows[0].get("figure") if rows else None
    return _points([row for row in rows if row.get("figure") == first], "value")


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        number = float(row.get(name) or "")
    except ValueError:  # a row that is just being written
        return None
    return number if math.isfinite(number) else None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _newest_first(names: list[str], files: Mapping[str, Path], kinds: set[str]) -> list[str]:
    """Samples are named by their step, so names sort as they were made."""
    return sorted((name for name in names if files[name].suffix in kinds), reverse=True)


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TEXT_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""
