"""`--devices N`: the same command once for each device, as `accelerate launch` would start it.

The children find each other by the environment that torch's own launchers set. Here they also end
together: a signal goes to all of them (each leaves a checkpoint), and the first that fails ends the
others, with its exit code and no stack of launcher errors below its sentence. For several machines
use `accelerate launch -m trainer train ...`. No torch. Used by `trainer.__main__` only.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

GRACE_S = 60.0  # for the others to leave once one has failed: they may wait for it in an exchange


def is_main_process() -> bool:
    """Whether this process speaks for all processes of the run."""
    return os.environ.get("RANK", "0") == "0"


def run_on_devices(count: int, arguments: Sequence[str]) -> int:
    """`python -m trainer` with these arguments in `count` processes; returns the exit code."""
    port = _free_port()
    command = [sys.executable, "-m", "trainer", *arguments]
    children = [
        subprocess.Popen(command, env={**os.environ, **_place(rank, count, port)})
        for rank in range(count)
    ]

    def pass_on(number: int, frame: object) -> None:
        for child in children:
            with suppress(ProcessLookupError):
                child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _first_failure(children)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _place(rank: int, count: int, port: int) -> dict[str, str]:
    """Who a child is among the others, in the variables of torch.distributed's launchers."""
    threads = max(1, (os.cpu_count() or 1) // count)  # or they would crowd each other out
    return {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _first_failure(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait for all; where one failed, end the rest. The exit code of the first that failed, or 0.

    A child killed by signal n counts as 128 + n.
    """
    waiting = {child.pid: child for child in children}
    while waiting:
        pid, status = os.wait()
        child = waiting.pop(pid, None)
        if child is None:
            continue
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            _end(list(waiting.values()))
            return child.returncode if child.returncode > 0 else 128 - child.returncode
    return 0


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
