"""Child processes that do torch work for the command line, and how their progress is drawn.

`python -m generators` and `python -m trainer` print one JSON event a line; the command line reads
them and draws a bar. So `atelier imagine` never imports torch itself, and a crash in a model is a
sentence here, not a traceback. Used by `bot.cli` only.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bot.errors import AtelierError

Event = Mapping[str, Any]


class ChildFailed(AtelierError):
    """The child ended badly; the message is its own sentence, or what is known of its end."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def events(
    module: str,
    arguments: Sequence[str],
    *,
    request: Event | None = None,
    leaves_by_itself: bool = False,
) -> Iterator[Event]:
    """Start `python -m module`, hand it the request on stdin, and yield its events as they come.

    The child's log lines go to our stderr. Raises ChildFailed for an error event or a bad end;
    leaving the iterator early (Ctrl-C) ends the child. With `leaves_by_itself` Ctrl-C only asks the
    child, which may have something to save, and its last events are waited for; a second one ends
    it.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    stdin, stdout = cast(TextIO, child.stdin), cast(TextIO, child.stdout)  # both are pipes
    failure, stack = "", ExitStack()
    try:
        if leaves_by_itself:
            stack.enter_context(_first_interrupt_goes_to(child))
        with stdin:
            if request is not None:
                stdin.write(json.dumps(request))
        for line in stdout:
            event = json.loads(line)
            if event.get("event") in ("error", "stopped"):
                failure = event["message"]
            else:
                yield event
        code = child.wait()
    finally:
        stack.close()
        if child.poll() is None:
            child.terminate()
            child.wait()
        stdout.close()
    if failure or code:
        raise ChildFailed(failure or f"{module} ended with exit status {code}", code or 1)


@contextmanager
def _first_interrupt_goes_to(child: subprocess.Popen[str]) -> Iterator[None]:
    """Ctrl-C reaches the child (from a terminal it has it already) and does not end us yet."""

    def pass_on(number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        child.send_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Drawing:
    """A rich bar fed with events; silent where the output is not for people."""

    def __init__(self, console: Console, title: str, *, quiet: bool = False) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}", style="dim"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=quiet,
            transient=False,
        )
        self._task = self._progress.add_task(title, total=1, note="starting")

    def __enter__(self) -> Drawing:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, done: int, total: int, note: str = "") -> None:
        """So many steps are done."""
        self._progress.update(self._task, completed=done, total=max(total, 1), note=note)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False)
