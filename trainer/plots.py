"""What a person looks at while a run goes on: the metrics table, the loss plot, contact sheets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

COLUMNS = ("optimizer_step", "loss", "lr", "gradient_norm", "examples_per_s")


class Metrics:
    """`metrics.csv`: one row every few steps; a resumed run drops what the kill made stale."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, resumed_at: int) -> None:
        """Write the header, and keep the rows up to optimizer step `resumed_at`."""
        rows = [row for row in self.rows() if int(row["optimizer_step"]) <= resumed_at]
        with self._path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def rows(self) -> list[dict[str, str]]:
        """Everything written so far."""
        if not self._path.is_file():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def add(self, **values: float) -> None:
        """Append one row."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(values)

    def plot(self, path: Path) -> None:
        """Loss (each row and its running mean) over steps, as a PNG."""
        from matplotlib.figure import Figure  # late: half a second that short runs do not need

        rows = self.rows()
        if len(rows) < 2:
            return
        steps = np.array([int(row["optimizer_step"]) for row in rows])
        losses = np.array([float(row["loss"]) for row in rows])
        window = max(1, len(losses) // 40)
        mean = np.convolve(losses, np.ones(window) / window, mode="valid")
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(steps, losses, linewidth=0.6, alpha=0.4, label="loss")
        axes.plot(steps[window - 1 :], mean, linewidth=1.6, label=f"mean of {window} rows")
        low, high = np.quantile(losses, [0, 0.98])
        axes.set(xlabel="optimizer step", ylabel="loss", ylim=(low * 0.95, high * 1.05 + 1e-9))
        axes.legend()
        axes.grid(alpha=0.3)
        figure.savefig(path, dpi=110)


def sheet(pictures: Tensor, columns: int, size: int = 96) -> Image.Image:
    """A contact sheet of pictures (B, 3, H, W) in [-1, 1], each shown at `size` pixels."""
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return paste([Image.fromarray(picture) for picture in pixels], columns, size)


def paste(pictures: Sequence[Image.Image], columns: int, size: int) -> Image.Image:
    """Pictures side by side with a small gap, row by row."""
    gap = 4
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (size + gap) - gap, rows * (size + gap) - gap), "white")
    for index, picture in enumerate(pictures):
        place = ((index % columns) * (size + gap), (index // columns) * (size + gap))
        whole.paste(picture.resize((size, size), Image.Resampling.BICUBIC), place)
    return whole
