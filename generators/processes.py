"""Child processes on a private socket: how they start and how they end. No torch.

A worker is a chain: gateway, supervisor, model child. Each link is a socket pair that nobody else
can open; the child learns its end's number from `--fd`. When a parent dies, by whatever signal, the
socket ends and (on Linux) the kernel signals the child as well, so nothing is left behind that
holds a GPU.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 10.0  # between a death and the next start
_PR_SET_PDEATHSIG = 1


class ProcessHandle(Protocol):
    """What we need of a running child, be it a process or (in tests) a task."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


Spawn = Callable[[socket.socket], Awaitable[ProcessHandle]]
"""Starts a child on its end of a socket pair (and closes our copy of it)."""


@dataclass(frozen=True, slots=True)
class Linked:
    """A running child and our end of its socket pair."""

    process: ProcessHandle
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


def module_command(module: str) -> list[str]:
    """How to run a module, by its name or by the path of its file (`*.py`)."""
    if module.endswith(".py"):
        return [sys.executable, str(Path(module).resolve())]
    return [sys.executable, "-m", module]


async def start(
    command: Sequence[str], end: socket.socket, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start the command with `--fd N`, N being the inherited socket; our copy of it is closed.

    Its own session keeps Ctrl-C on a terminal from reaching it: its parent ends it, in order. What
    it prints goes to our stderr, since stdout may be somebody's data.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            "--fd",
            str(end.fileno()),
            pass_fds=(end.fileno(),),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=2,
            start_new_session=True,
        )
    finally:
        end.close()


async def streams(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Take over a socket's end for reading and writing; where that fails, it is closed."""
    try:
        return await asyncio.open_connection(sock=end, limit=2**20)
    except BaseException:
        end.close()
        raise


@asynccontextmanager
async def linked(spawn: Spawn, *, grace_s: float) -> AsyncIterator[Linked]:
    """A child at the other end of a new socket pair. After the block we hang up and end it: asked
    first, killed after `grace_s`."""
    ours, theirs = socket.socketpair()
    try:
        reader, writer = await streams(ours)
    except BaseException:
        theirs.close()
        raise
    process: ProcessHandle | None = None
    try:
        process = await spawn(theirs)
        yield Linked(process, reader, writer)
    finally:
        await hang_up(writer)
        if process is not None:
            await stop(process, grace_s=grace_s)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close our end of a socket pair, and wait until it is closed."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Keeper:
    """Starts a child again whenever it has ended, in the background between `start` and `stop`.

    `live` is one child's life and gives its exit status; where it raises OSError, the child could
    not be started. `after` is told of each end, before the pause, and says whether it was a good
    life. Pauses double from `first_pause_s`, and begin anew after a good or long life.
    """

    def __init__(
        self,
        what: str,
        live: Callable[[], Awaitable[int]],
        after: Callable[[int], bool],
        *,
        first_pause_s: float,
    ) -> None:
        self._what, self._live, self._after = what, live, after
        self._first_pause_s = first_pause_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Returns at once."""
        self._task = asyncio.create_task(self._keep_alive(), name=self._what)

    async def stop(self) -> None:
        """Cancel the life that is being lived, and wait until it is over."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._first_pause_s
        while True:
            began = loop.time()
            try:
                status = await self._live()
            except OSError as error:
                status = 1
                log.error(f"the {self._what} cannot be started", error=str(error))
            if self._after(status) or loop.time() - began > LONGEST_PAUSE_S:
                pause_s = self._first_pause_s
            log.warning(f"the {self._what} has ended", status=status, starts_again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def stop(process: ProcessHandle, *, grace_s: float) -> int:
    """Ask the process to end, insist after `grace_s`; returns its exit status."""
    if process.returncode is None:
        process.terminate()
        return await ended(process, grace_s=grace_s)
    return process.returncode


async def ended(process: ProcessHandle, *, grace_s: float) -> int:
    """Wait for a process that is about to end; kill it after `grace_s`. Returns its exit status."""
    try:
        return await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        process.kill()
        return await process.wait()


def end_with_parent(with_signal: signal.Signals) -> None:
    """Have the kernel send us this signal when the thread that started us is gone (Linux only;
    elsewhere the end of the socket must do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)


def environment_without(prefix: str) -> dict[str, str]:
    """Our environment but for names with this prefix: a child gets its settings, no secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
