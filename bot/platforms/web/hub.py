"""Open tabs, and what is pushed to them: server-sent events that are lossy where they may be.

Updates of a job replace each other (only the newest matters). Answers are queued, but not for
ever: a tab that does not keep up is dropped, connects again and fetches what it missed. Whether
something was missed, it sees from `mark`: a visitor's count of answers, sent with every page and
every stream. Used by `platform` (posts) and `api` (streams).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from bot.platforms.web.visitors import Visitor

MAX_QUEUED: Final = 32  # answers a tab may lag behind before it is dropped
MAX_TABS: Final = 12  # streams of one visitor
MAX_STREAMS: Final = 5_000  # streams of all visitors together
MAX_MARKS: Final = 10_000


class Tab:
    """One open stream. Events are taken by one reader; after `drop` it is told to end."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self._events: list[bytes] = []
        self._updates: dict[str, bytes] = {}
        self._news = asyncio.Event()
        self._dropped = False

    def post(self, event: str, data: Mapping[str, Any], *, mark: str = "") -> None:
        """Queue an event that must not be lost; a tab too far behind is dropped instead."""
        if len(self._events) >= MAX_QUEUED:
            self.drop()
            return
        self._events.append(encode(event, data, mark))
        self._news.set()

    def update(self, job_id: str, data: Mapping[str, Any]) -> None:
        """Put the newest state of a job in the place of an older one not yet sent."""
        if job_id not in self._updates and len(self._updates) >= MAX_QUEUED:
            return
        self._updates[job_id] = encode("update", data)
        self._news.set()

    def forget(self, job_id: str) -> None:
        """The job has ended: an update still waiting would come after its answer."""
        self._updates.pop(job_id, None)

    def drop(self) -> None:
        """End the stream after what is being written."""
        self._dropped = True
        self._news.set()

    async def next(self) -> bytes | None:
        """What there is to send, waiting for it; None when the stream should end."""
        await self._news.wait()
        if self._dropped:
            return None
        self._news.clear()
        chunk = b"".join([*self._updates.values(), *self._events])
        self._updates.clear()
        self._events.clear()
        return chunk


class Hub:
    """All open tabs by visitor."""

    def __init__(self) -> None:
        self._tabs: dict[str, list[Tab]] = {}
        self._streams = 0
        self._closed = False
        # A mark of another process is never equal to ours: after a restart every tab asks anew.
        self._epoch = secrets.token_hex(4)
        self._count = itertools.count(1)
        self._marks: OrderedDict[str, int] = OrderedDict()

    def open(self, visitor: Visitor) -> Tab | None:
        """A new stream, or None where the studio is full or closing. A visitor with too many loses
        the oldest: a tab that was closed is only noticed at the next sign of life."""
        if self._closed or self._streams >= MAX_STREAMS:
            return None
        mine = self._tabs.setdefault(visitor.identity, [])
        if len(mine) >= MAX_TABS:
            oldest = mine[0]
            oldest.drop()
            self.leave(oldest)
        tab = Tab(visitor)
        mine.append(tab)
        self._streams += 1
        return tab

    def leave(self, tab: Tab) -> None:
        """The stream has ended. Repeatable."""
        mine = self._tabs.get(tab.visitor.identity, [])
        if tab not in mine:
            return
        mine.remove(tab)
        self._streams -= 1
        if not mine:
            del self._tabs[tab.visitor.identity]

    def tabs(self, identity: str) -> tuple[Tab, ...]:
        """The visitor's open streams."""
        return tuple(self._tabs.get(identity, ()))

    def mark(self, identity: str) -> str:
        """Which answers a page drawn now has seen."""
        return f"{self._epoch}-{self._marks.get(identity, 0)}"

    def advance(self, identity: str) -> str:
        """There is one more answer; returns the new mark."""
        self._marks[identity] = next(self._count)
        self._marks.move_to_end(identity)
        if len(self._marks) > MAX_MARKS:
            self._marks.popitem(last=False)
        return self.mark(identity)

    def reopen(self) -> None:
        """Take streams (again)."""
        self._closed = False

    def close(self) -> None:
        """End all streams and take no more."""
        self._closed = True
        for tabs in self._tabs.values():
            for tab in tabs:
                tab.drop()


def encode(event: str, data: Mapping[str, Any], mark: str = "") -> bytes:
    """One server-sent event. JSON has no raw line breaks, so one `data` line is enough."""
    head = f"id: {mark}\n" if mark else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
