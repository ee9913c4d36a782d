"""A baseline in a process of its own, called from the benchmark.

Two libraries' thread pools in one process slow each other down several times over, and torch keeps
what it has prepared by thread: a baseline is only fair where nothing else computes.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Any, Self

_made: list[Any] = []


class Aside:
    """An object made by `make(*arguments)` in a new process; `call` its methods from here.

    `make` is found by its module's name there, so it cannot live in a test file.
    """

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, spawn, _remember, (make, arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.shutdown(cancel_futures=True)

    def call(self, method: str) -> Any:
        """What the object's method returns; waits for it."""
        return self._process.submit(_call, method).result()


def _remember(make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    _made.append(make(*arguments))


def _call(method: str) -> Any:
    return getattr(_made[0], method)()
