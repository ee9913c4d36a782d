"""What a run writes down: for a page (progress.json), a plot, a spreadsheet, TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainer.contract import PROGRESS_NAME, read_progress
from trainer.journal import Journal, Reading
from trainer.plots import plot_run
from trainer.tables import Table

Events = list[tuple[str, dict[str, Any]]]


def journal(folder: Path, events: Events, *, total: int = 40, boards: bool = False) -> Journal:
    def report(event: str, **facts: Any) -> None:
        events.append((event, facts))

    return Journal(folder, "a-recipe", total, report, boards=boards)


def reading(step: int) -> Reading:
    return Reading(step, 2.0 / step, 1e-3, 0.5, 120.0, 60.0 - step)


def test_progress_says_where_a_run_stands_and_how_it_ended(tmp_path: Path) -> None:
    events: Events = []
    run = journal(tmp_path, events)
    run.begin(resumed_at=0)
    started = read_progress(tmp_path)
    assert started is not None
    assert (started.state, started.step, started.total, started.loss) == ("running", 0, 40, None)
    run.step(reading(1))
    run.evaluation({"held_out_loss": 1.25, "pairs": 12})
    (tmp_path / "samples").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "samples" / "step-00000001.png")
    run.sample(tmp_path / "samples" / "step-00000001.png")
    now = read_progress(tmp_path)
    assert now is not None
    assert (now.step, now.loss, now.examples_per_s, now.eta_s) == (1, 2.0, 120.0, 59)
    assert now.sample == "samples/step-00000001.png"
    assert now.figures == {"held_out_loss": 1.25, "pairs": 12}
    run.step(reading(2))
    assert events[-1][1]["figures"] == now.figures, "the bar shows the latest figures"
    run.end("failed", "The loss became nan.")
    ended = read_progress(tmp_path)
    assert ended is not None
    assert (ended.state, ended.message, ended.eta_s) == ("failed", "The loss became nan.", None)
    assert not list(tmp_path.glob(".*")), "nothing half-written stays"
    (tmp_path / PROGRESS_NAME).write_text('{"recipe"', encoding="utf-8")
    assert read_progress(tmp_path) is None


def test_a_resumed_run_drops_what_the_kill_made_stale(tmp_path: Path) -> None:
    run = journal(tmp_path, [])
    run.begin(resumed_at=0)
    for step in (10, 20, 30):
        run.step(reading(step))
        run.evaluation({"psnr_db": float(step)})
    with (tmp_path / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("4")  # the kill came here
    again = journal(tmp_path, [])
    again.begin(resumed_at=20)
    assert [row["optimizer_step"] for row in again.metrics.rows()] == ["10", "20"]
    assert [row["value"] for row in again.held_out.rows()] == ["10.0", "20.0"]


def test_a_row_cut_short_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    table = Table(path, ("optimizer_step", "loss"))
    table.begin(lambda row: True)
    table.add(optimizer_step=1, loss=0.5)
    for tail in ("2", "2,0.25"):  # without its line end nobody knows whether the figure is whole
        path.write_text(path.read_text(encoding="utf-8") + tail, encoding="utf-8")
        assert table.rows() == [{"optimizer_step": "1", "loss": "0.5"}]
        path.write_text("optimizer_step,loss\n1,0.5\n", encoding="utf-8")


def test_tensorboard_reads_the_run_back(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = journal(tmp_path, [], boards=True)
    run.begin(resumed_at=0)
    for step in (1, 10, 20):
        run.step(reading(step))
    run.evaluation({"perplexity": 30.0})
    (tmp_path / "samples").mkdir()
    sheet = tmp_path / "samples" / "step-00000020.png"
    Image.new("RGB", (12, 8), "blue").save(sheet)
    run.sample(sheet)
    run.end("stopped")

    def read() -> Any:
        events = reader.EventAccumulator(str(tmp_path / "tensorboard"))
        return events.Reload()

    assert [event.step for event in read().Scalars("train/loss")] == [1, 10, 20]
    assert [event.value for event in read().Scalars("held_out/perplexity")] == [30.0]
    (image,) = read().Images("samples")
    assert (image.step, image.width, image.height) == (20, 12, 8)
    again = journal(tmp_path, [], boards=True)
    again.begin(resumed_at=10)
    again.end("stopped")
    steps = [event.step for event in read().Scalars("train/loss")]
    assert steps == [1, 10], "step 20 was undone by the resume"


def test_the_plot_shows_losses_and_held_out_points(tmp_path: Path) -> None:
    rows = [{"optimizer_step": str(n), "loss": str(2.0 / n)} for n in range(1, 200)]
    held_out = [
        {"optimizer_step": "50", "figure": "held_out_loss", "value": "3.5"},
        {"optimizer_step": "150", "figure": "held_out_loss", "value": "0.5"},
    ]
    path = tmp_path / "loss.png"
    plot_run(rows[:1], [], path)
    assert not path.exists(), "one row is no curve"
    drawn = []
    for points in ([], held_out, [{**row, "figure": "psnr_db"} for row in held_out]):
        plot_run(rows, points, path)
        with Image.open(path) as picture:
            drawn.append(np.asarray(picture.convert("RGB")))
    assert all(picture.std() > 5 for picture in drawn)
    assert len({picture.tobytes() for picture in drawn}) == 3
