"""How the gateway's endless loops wait, fail and go on. Used by dispatch and delivery.

A loop that dies silently is the worst failure a studio can have: everything looks well and nothing
is ever delivered again. So a loop ends only when it is cancelled or its engine is closed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from bot.metrics import Metrics
from generators.engine.port import EngineClosed

log = structlog.get_logger(__name__)


class Backoff:
    """Growing pauses: doubled each time up to `cap_s`, each stretched or shrunk by up to half, so
    that many who failed together do not come back together."""

    def __init__(self, first_s: float = 0.1, cap_s: float = 10.0) -> None:
        self._first_s, self._cap_s = first_s, cap_s
        self._failures = 0

    def next_s(self) -> float:
        """The pause after one more failure, in seconds."""
        self._failures += 1
        return pause_s(self._failures, first_s=self._first_s, cap_s=self._cap_s)

    def reset(self) -> None:
        """It worked: start small again."""
        self._failures = 0


def pause_s(failures: int, *, first_s: float, cap_s: float) -> float:
    """The pause after this many failures (at least 1), in seconds, with jitter."""
    # The exponent is bounded, since 2.0**1100 is an error and not just a large number.
    doubled = first_s * 2.0 ** min(failures - 1, 60)
    return min(doubled, cap_s) * random.uniform(0.5, 1.5)


class Alarm:
    """Wakes one loop: it sleeps until rung or until `timeout_s` is over. Ringing never blocks."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Let the loop look again; ringing twice before it looks counts once."""
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Sleep, then forget the ringing so far: look at the world only after this returned."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()


async def forever(name: str, turn: Callable[[], Awaitable[None]], metrics: Metrics) -> None:
    """Run one turn of a loop after the other. An error is logged, counted and followed by a pause;
    only cancelling ends this, or an engine that is closed."""
    backoff = Backoff()
    while True:
        try:
            await turn()
            backoff.reset()
        except EngineClosed:
            log.info("loop ended: the engine is closed", loop=name)
            return
        except Exception:  # a loop that ends would stop the studio without a word
            metrics.loop_errors.labels(name).inc()
            log.exception("loop goes on after an error", loop=name)
            await asyncio.sleep(backoff.next_s())
