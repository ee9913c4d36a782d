"""What a run writes down while it goes on, for people and pages to look at.

`metrics.csv` (one row every few steps), `held_out.csv` (each look at the held-out examples),
`loss.png`, `progress.json` (replaced whole about once a second), TensorBoard files, and the events
of `trainer.progress`. One object, used by the main process of `trainer.loop` only; nothing here
decides anything about the training.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from trainer.contract import PROGRESS_NAME, RunProgress
from trainer.plots import plot_run
from trainer.progress import Reporter
from trainer.tables import Table

METRICS_EVERY = 10  # optimizer steps between two rows of metrics.csv
PROGRESS_EVERY_S = 1.0
METRICS = ("optimizer_step", "loss", "lr", "gradient_norm", "examples_per_s")
HELD_OUT = ("optimizer_step", "figure", "value")


def tensorboard_is_installed() -> bool:
    """Whether TensorBoard files can be written (it comes with the extra `train`)."""
    return find_spec("tensorboard") is not None


@dataclass(frozen=True, slots=True)
class Reading:
    """One optimizer step in figures."""

    step: int  # steps done, this one included
    loss: float
    lr: float
    gradient_norm: float
    examples_per_s: float
    eta_s: float


class Journal:
    """The files and events of one run."""

    def __init__(
        self, folder: Path, recipe_name: str, total_steps: int, report: Reporter, *, boards: bool
    ) -> None:
        self.metrics = Table(folder / "metrics.csv", METRICS)
        self.held_out = Table(folder / "held_out.csv", HELD_OUT)
        self._folder, self._recipe_name, self._total = folder, recipe_name, total_steps
        self._report = report
        self._boards = boards
        self._board: Any = None
        self._step = 0
        self._last: Reading | None = None
        self._figures: dict[str, float] = {}
        self._sample = ""
        self._written_at = 0.0

    def begin(self, resumed_at: int) -> None:
        """Open the files; rows after optimizer step `resumed_at` are of steps that were undone."""
        self._step = resumed_at
        for table in (self.metrics, self.held_out):
            table.begin(lambda row: int(row["optimizer_step"]) <= resumed_at)
        newest = max(self._folder.glob("samples/step-*"), default=None)
        self._sample = newest.relative_to(self._folder).as_posix() if newest else ""
        if self._boards:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(
                str(self._folder / "tensorboard"), purge_step=resumed_at + 1
            )
        self._write_progress("running")

    def step(self, reading: Reading) -> None:
        """An optimizer step was made and read."""
        self._step, self._last = reading.step, reading
        self._report(
            "progress",
            optimizer_step=reading.step,
            total_steps=self._total,
            loss=round(reading.loss, 5),
            lr=reading.lr,
            examples_per_s=round(reading.examples_per_s, 2),
            eta_s=round(reading.eta_s),
            **({"figures": self._figures} if self._figures else {}),
        )
        if reading.step % METRICS_EVERY == 0 or reading.step in (1, self._total):
            row = {
                "loss": reading.loss,
                "lr": reading.lr,
                "gradient_norm": reading.gradient_norm,
                "examples_per_s": reading.examples_per_s,
            }
            self.metrics.add(optimizer_step=reading.step, **row)
            self._scalars("train", row)
        if time.monotonic() - self._written_at > PROGRESS_EVERY_S:
            self._write_progress("running")

    def evaluation(self, figures: dict[str, float]) -> None:
        """The held-out examples were looked at; there may be none, and so no figure."""
        if not figures:
            return
        self._figures = {name: round(value, 5) for name, value in figures.items()}
        for name, value in figures.items():
            self.held_out.add(optimizer_step=self._step, figure=name, value=value)
        self._scalars("held_out", figures)
        self._report("evaluation", optimizer_step=self._step, figures=self._figures)
        self._write_progress("running")

    def sample(self, path: Path) -> None:
        """A sample sheet was drawn (or a text written) into the run's folder."""
        self._sample = path.relative_to(self._folder).as_posix()
        plot_run(self.metrics.rows(), self.held_out.rows(), self._folder / "loss.png")
        if self._board is not None:
            if path.suffix == ".png":
                with Image.open(path) as sheet:
                    pixels = np.asarray(sheet.convert("RGB"))  # (H, W, 3)
                self._board.add_image("samples", pixels, self._step, dataformats="HWC")
            elif path.suffix == ".txt":
                text = path.read_text(encoding="utf-8").replace("\n", "\n\n")  # Markdown
                self._board.add_text("samples", text, self._step)
            self._board.flush()
        self._report("sample", path=str(path))
        self._write_progress("running")

    def checkpoint(self, path: Path) -> None:
        """A checkpoint lies at `path`."""
        self._report("checkpoint", path=str(path))

    def end(self, state: Literal["finished", "stopped", "failed"], message: str = "") -> None:
        """The run is over. Never raises for a full disk: that may be why it is over."""
        try:
            self._write_progress(state, message)
            if self._board is not None:
                self._board.close()
        except OSError:
            if state != "failed":
                raise

    def _scalars(self, group: str, values: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, self._step)

    def _write_progress(
        self, state: Literal["running", "finished", "stopped", "failed"], message: str = ""
    ) -> None:
        last = self._last
        progress = RunProgress(
            recipe=self._recipe_name,
            state=state,
            step=self._step,
            total=self._total,
            loss=last.loss if last else None,
            examples_per_s=round(last.examples_per_s, 2) if last else None,
            eta_s=round(last.eta_s) if last and state == "running" else None,
            figures=self._figures,
            sample=self._sample,
            message=message,
            updated_at=round(time.time(), 3),
        )
        temporary = self._folder / f".{PROGRESS_NAME}.new"
        temporary.write_text(progress.model_dump_json(indent=1) + "\n", encoding="utf-8")
        temporary.replace(self._folder / PROGRESS_NAME)
        self._written_at = time.monotonic()
