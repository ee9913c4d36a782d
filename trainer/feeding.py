"""Batches made ahead of time: a thread prepares the next one while the device computes.

Order and content do not change: each batch is a pure function of its number. The thread only works
between `take` and the next one; `settle` waits for it, since tokenizers must not be used from two
threads at once. Used by `trainer.loop` only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from trainer.objective import Batch

Made = tuple[int, Batch]  # the seed of the micro-step, and its examples


class Feeder:
    """Hands out `make(first)`, `make(first + 1)`, ... up to `make(end - 1)`, one of them ahead."""

    def __init__(self, make: Callable[[int], Made], first: int, end: int) -> None:
        self._make = make
        self._next = first
        self._end = end
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._ahead: Future[Made] | None = None

    def take(self) -> Made:
        """The next batch; whatever `make` raised is raised here."""
        ready = self._ahead
        self._ahead = None
        made = self._make(self._next) if ready is None else ready.result()
        self._next += 1
        if self._next < self._end:
            self._ahead = self._pool.submit(self._make, self._next)
        return made

    def settle(self) -> None:
        """Wait until the thread is idle; it stays so until the next `take`."""
        if self._ahead is not None:
            wait([self._ahead])

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)
