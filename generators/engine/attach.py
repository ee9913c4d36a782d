"""A worker started by hand (`atelier worker`) joins the gateway of the same data folder. No torch.

The gateway listens on a socket file only its user can open. A worker that connects is handed its
end of the local engine's socket pair, and from there on it is the very worker that `atelier up`
would have started. Further workers wait in line and step in when the first one ends.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from generators import processes
from generators.settings import GeneratorSettings

log = structlog.get_logger(__name__)

SOCKET_NAME = "worker.sock"
_RETRY_S = 1.0
_MAX_PATH_BYTES = 107  # sockaddr_un(7)


class AttachError(ValueError):
    """The socket file cannot be made or reached; the message says what to do."""


class _Attached:
    """The gateway's handle of a worker it did not start: its life is that of the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._ended = asyncio.get_running_loop().create_task(self._until_closed())

    @property
    def pid(self) -> int:
        return 0  # not ours to signal

    @property
    def returncode(self) -> int | None:
        return 0 if self._ended.done() else None

    async def wait(self) -> int:
        await asyncio.shield(self._ended)
        return 0

    def terminate(self) -> None:
        """Hang up: the worker ends when its sockets do."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    kill = terminate

    async def _until_closed(self) -> None:
        with suppress(OSError):
            await asyncio.get_running_loop().sock_recv(self._connection, 1)
        self._connection.close()


@asynccontextmanager
async def listening(data_dir: Path) -> AsyncIterator[processes.Spawn]:
    """Listen for workers; yields what `LocalEngine(spawn=...)` needs. Raises AttachError."""
    path = _socket_path(data_dir)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()

        async def spawn(end: socket.socket) -> processes.ProcessHandle:
            with end:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                connection.setblocking(False)
                socket.send_fds(connection, [b"w"], [end.fileno()])
            log.info("worker joined")
            return _Attached(connection)

        try:
            yield spawn
        finally:
            path.unlink(missing_ok=True)


def work(settings: GeneratorSettings) -> None:
    """Be a worker until interrupted: join the gateway, serve, and join again when it comes back."""
    path = _socket_path(settings.data_dir)
    waiting = False
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.connect(str(path))
                _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
            except OSError:
                descriptors = []
            if descriptors:
                waiting = False
                _serve(socket.socket(fileno=descriptors[0]), settings)
            elif not waiting:
                waiting = True
                log.info("waiting for a gateway", socket=str(path))
        time.sleep(_RETRY_S)


def _serve(end: socket.socket, settings: GeneratorSettings) -> None:
    """Run one worker process on this end until it is over."""
    with end:
        command = [*processes.module_command("generators.worker"), "--fd", str(end.fileno())]
        environment = processes.environment_without("ATELIER_") | settings.environment()
        child = subprocess.Popen(command, pass_fds=(end.fileno(),), env=environment)
    try:
        child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def _socket_path(data_dir: Path) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir.resolve() / SOCKET_NAME
    if len(str(path).encode()) > _MAX_PATH_BYTES:
        raise AttachError(
            f"{path} is too long a name for a socket; choose a shorter ATELIER_DATA_DIR"
        )
    return path
