"""How a run tells the world: one JSON event a line for a parent process, or a bar for a person.

Events: `progress` (of training: `optimizer_step` of `total_steps` with the loss; of a dataset:
`done` of `total`), `evaluation` (figures on held-out examples), `sample`, `checkpoint`, `problem`,
`stopped`, `done`, `error`. The command line that starts training as a child reads them from stdout;
nothing else is ever printed there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

MIN_INTERVAL_S = 0.5  # between two progress events


class Reporter(Protocol):
    """Takes events; must not raise and must not keep the training waiting."""

    def __call__(self, event: str, **facts: Any) -> None: ...


def _extent(facts: dict[str, Any]) -> tuple[int, int]:
    """(done, total) of a progress event of either kind."""
    if "optimizer_step" in facts:
        return facts["optimizer_step"], facts["total_steps"]
    return facts["done"], facts["total"]


def note_of(facts: Mapping[str, Any]) -> str:
    """What stands beside the bar: loss, speed, the latest held-out figures."""
    if "loss" not in facts:
        return ""
    held_out = "".join(
        f"  {name} {value:.4g}" for name, value in [*facts.get("figures", {}).items()][:2]
    )
    return f"loss {facts['loss']:.4f}  {facts['examples_per_s']:.1f} examples/s{held_out}"


class QuietReporter:
    """For the processes beside the main one: only what went wrong, on stderr."""

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "error":
            sys.stderr.write(f"{facts['message']}\n")


class JsonReporter:
    """Each event as one line of JSON on stdout; progress at most twice a second, and its end."""

    def __init__(self) -> None:
        self._last_progress = 0.0

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "progress":
            now = time.monotonic()
            done, total = _extent(facts)
            if now - self._last_progress < MIN_INTERVAL_S and done < total:
                return
            self._last_progress = now
        line = json.dumps({"event": event, **facts}, ensure_ascii=False, default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class BarReporter:
    """A progress bar with loss and speed; other events as lines above it."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("work", total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "progress":
            done, total = _extent(facts)
            self._bar.update(self._task, completed=done, total=total, note=note_of(facts))
            return
        style = "red" if event in ("error", "problem") else None
        words = "  ".join(f"{name}: {value}" for name, value in facts.items())
        self._console.print(f"{event}  {words}", style=style, markup=False, highlight=False)
