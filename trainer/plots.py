"""What a person looks at while a run goes on: the plot of losses and figures, contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

Rows = Sequence[Mapping[str, str]]


def plot_run(metrics: Rows, held_out: Rows, path: Path) -> None:
    """Loss over steps as a PNG: each row, its running mean, and the held-out figures as points.

    `metrics` are rows of `metrics.csv`, `held_out` of `held_out.csv`. Held-out losses share the
    training loss's axis; where there is none, the first figure gets an axis of its own. Draws
    nothing before there are two rows.
    """
    from matplotlib.figure import Figure  # late: half a second that short runs do not need

    if len(metrics) < 2:
        return
    steps = np.array([int(row["optimizer_step"]) for row in metrics])
    losses = np.array([float(row["loss"]) for row in metrics])
    window = max(1, len(losses) // 20)
    mean = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, linewidth=0.6, alpha=0.4, label="loss")
    axes.plot(steps[window - 1 :], mean, linewidth=1.6, label=f"mean of {window} rows")
    seen = [*np.quantile(losses, [0, 0.98])]
    points = _points(held_out)
    shared = {name: pairs for name, pairs in points.items() if name.endswith("_loss")}
    for name, pairs in shared.items():
        axes.plot(*zip(*pairs, strict=True), "o", markersize=4, label=name)
        seen += [value for _, value in pairs]
    other = next((name for name in points if name not in shared), None)
    if not shared and other is not None:
        beside = axes.twinx()
        (line,) = beside.plot(*zip(*points[other], strict=True), "o-", color="C2", markersize=4)
        beside.set_ylabel(f"{other}, held out")
        axes.plot([], [], "o-", color=line.get_color(), label=other)
    low, high = min(seen), max(seen)
    margin = 0.05 * (high - low) + 1e-9
    axes.set(xlabel="optimizer step", ylabel="loss", ylim=(low - margin, high + margin))
    axes.legend()
    axes.grid(alpha=0.3)
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, dpi=110, format="png")
    temporary.replace(path)  # a page may be reading the old one


def _points(held_out: Rows) -> dict[str, list[tuple[int, float]]]:
    """Figure -> [(optimizer step, value), ...]; counts and constants are no curves."""
    points: dict[str, list[tuple[int, float]]] = {}
    for row in held_out:
        pair = (int(row["optimizer_step"]), float(row["value"]))
        points.setdefault(row["figure"], []).append(pair)
    return points


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
