"""The worker's end of the local engine: leases out of a private socket. No torch.

Started with the other end of `LocalEngine`'s socket pair. The gateway keeps every job until its
result has come, so nothing here needs to be durable.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generators import processes
from generators.engine import frames
from generators.engine.port import (
    EngineClosed,
    EngineEvent,
    EngineJob,
    EngineResult,
    Lease,
    Progress,
)


@dataclass(slots=True)
class SocketLease:
    """A job that came over the socket. `delivery` tells apart two deliveries of the same job, so
    that the late result of an evicted one is not taken for the new one's."""

    source: SocketSource
    job: EngineJob
    delivery: int

    async def beat(self) -> None:
        """Nothing to extend: as long as the socket stands, the gateway knows we have it."""

    async def done(self, result: EngineResult) -> None:
        await self.source.finish(self, result)


class SocketSource:
    """A `WorkerSource` over one end of a socket pair. Only one task may call `fetch`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[str, SocketLease] = {}
        self._leased: dict[str, SocketLease] = {}
        self._unwanted: set[int] = set()  # deliveries that were cancelled or evicted
        self._paused: set[str] = set()
        self._closed = False
        self._changed = asyncio.Event()

    @classmethod
    async def connect(cls, end: socket.socket) -> SocketSource:
        """Take over our end of the pair."""
        return cls(*await processes.streams(end))

    async def listen(self) -> None:
        """Read what the gateway says until it is gone, then raise EngineClosed."""
        try:
            while (frame := await frames.read(self._reader)) is not None:
                self._take(frame.header)
                self._changed.set()
        except (ConnectionError, frames.FrameError):
            pass
        finally:
            self._closed = True
            self._changed.set()
        raise EngineClosed

    async def close(self) -> None:
        """Let the gateway see that we are gone."""
        await processes.hang_up(self._writer)

    async def fetch(self, limit: int, *, window_s: float, block: bool) -> list[Lease]:
        if block:
            await self._until(1)
            if len(self._ready()) < limit and window_s > 0:
                try:
                    async with asyncio.timeout(window_s):
                        await self._until(limit)
                except TimeoutError:
                    pass  # the window is over: go with what is there
        if self._closed:
            raise EngineClosed
        leases = self._ready()[:limit]
        for lease in leases:
            self._leased[lease.job.id] = self._waiting.pop(lease.job.id)
        return list(leases)

    async def emit(self, event: EngineEvent) -> None:
        body = b""
        if isinstance(event, Progress) and event.preview is not None:
            body, event = event.preview, event.model_copy(update={"preview": None})
        await self._send({"type": "event", "event": event.model_dump(mode="json")}, body)

    def cancelled(self, job_id: str) -> bool:
        lease = self._leased.get(job_id)
        return lease is not None and lease.delivery in self._unwanted

    def paused(self, job_id: str) -> bool:
        """Whether the gateway wants this training job to stand back."""
        return job_id in self._paused

    async def finish(self, lease: SocketLease, result: EngineResult) -> None:
        """Hand the result to the gateway; with it in the socket, the lease is over."""
        await self._send(
            {
                "type": "result",
                "delivery": lease.delivery,
                "result": result.model_dump(mode="json"),
            }
        )
        if self._leased.get(lease.job.id) is lease:
            del self._leased[lease.job.id]
        self._unwanted.discard(lease.delivery)
        self._changed.set()

    def _take(self, header: Mapping[str, Any]) -> None:
        kind = header["type"]
        if kind == "job":
            lease = SocketLease(self, EngineJob.model_validate(header["job"]), header["delivery"])
            self._waiting[lease.job.id] = lease
        elif kind in ("cancel", "evict"):
            waiting = self._waiting.pop(header["job_id"], None)
            leased = self._leased.get(header["job_id"])
            if waiting is not None and kind == "cancel":
                result = EngineResult(job_id=waiting.job.id, state="cancelled")
                self._write(
                    {
                        "type": "result",
                        "delivery": waiting.delivery,
                        "result": result.model_dump(mode="json"),
                    }
                )
            if leased is not None:
                self._unwanted.add(leased.delivery)
        elif kind == "pause":
            self._paused.add(header["job_id"])
        elif kind == "resume":
            self._paused.discard(header["job_id"])

    def _ready(self) -> list[SocketLease]:
        # A job that came again while its evicted first delivery still runs waits for that to end.
        return [lease for lease in self._waiting.values() if lease.job.id not in self._leased]

    async def _until(self, count: int) -> None:
        while not self._closed and len(self._ready()) < count:
            self._changed.clear()
            await self._changed.wait()
        if self._closed:
            raise EngineClosed

    def _write(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        if not self._writer.is_closing():
            self._writer.write(frames.encode(frames.Frame(header, body)))

    async def _send(self, header: Mapping[str, Any], body: bytes = b"") -> None:
        self._write(header, body)
        try:
            await self._writer.drain()
        except ConnectionError:
            raise EngineClosed from None
