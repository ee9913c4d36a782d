"""Runs a use case again where the database rolled it back for the sake of another transaction.

The one place that repeats; a use case is written as a function that begins its own unit of work,
so that it starts from fresh facts each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bot.core.ports import Conflict

T = TypeVar("T")

ATTEMPTS = 8
_FIRST_PAUSE_S = 0.01


async def repeated(work: Callable[[], Awaitable[T]]) -> T:
    """The work's result; repeated with growing pauses on `Conflict`, whose last one is raised."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return await work()
        except Conflict:
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt * random.random())
    return await work()
