"""How a run tells the world: one JSON event a line for a parent process, or a bar for a person.

Events: `progress`, `sample`, `checkpoint`, `done`, `error`. The command line that starts training
as a child reads them from stdout; nothing else is ever printed there.
"""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

MIN_INTERVAL_S = 0.5  # between two progress events


class Reporter(Protocol):
    """Takes events; must not raise and must not keep the training waiting."""

    def __call__(self, event: str, **facts: Any) -> None: ...


class JsonReporter:
    """Each event as one line of JSON on stdout."""

    def __init__(self) -> None:
        self._last_progress = 0.0

    def __call__(self, event: str, **facts: Any) -> None:
        if event == "progress":
            now = time.monotonic()
            last = facts.get("optimizer_step") == facts.get("total_steps")
            if now - self._last_progress < MIN_INTERVAL_S and not last:
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
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn(
                "loss {task.fields[loss]:.4f}  {task.fields[examples_per_s]:.1f} examples/s"
            ),
            console=self._console,
        )
        self._task = self._bar.add_task("training", total=None, loss=0.0, examples_per_s=0.0)

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
            self._bar.update(
                self._task,
                completed=facts["optimizer_step"],
                total=facts["total_steps"],
                loss=facts["loss"],
                examples_per_s=facts["examples_per_s"],
            )
        elif event == "error":
            self._console.print(f"error: {facts['message']}", style="red", markup=False)
        elif event == "done":
            figures = "  ".join(f"{name} {value:.4g}" for name, value in facts["figures"].items())
            self._console.print(f"weights in {facts['weights']}  {figures}", markup=False)
        else:
            self._console.print(f"{event}: {facts.get('path', '')}", markup=False)
